"""The code that the programs for digits share.

These are mnist_mlp.py, mnist_cnn.py, mnist_mpi.py, predict.py, draw_digit.py and playground.py.
Every other example is complete in one file: you can copy the file and run it.

- settings.py: the flags of mnist_mlp.py, and the settings of a run that is resumed
- recipes.py: named sets of those flags, as plain data
- data.py: the digits of a run, and how they become a model's inputs and targets
- models.py: the networks, and how a saved network is built again
- augment.py: distorted digits, as a layer
- training.py: optimizer, schedule, and a fit that can be interrupted
- folder.py: a run's folder, in which every file is written completely or not at all
- report.py: what a run saves in its folder: the model, its metrics, its pictures
- pictures.py: the pictures for predict.py, from files, folders and CSVs
- photo.py: a digit cut out of a photo, a scan or a drawing, as MNIST has its digits
- web.py: a local server that answers only its own page
"""
