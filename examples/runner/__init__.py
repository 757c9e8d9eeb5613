"""What the programs for digits share.

These are mnist_mlp.py, mnist_cnn.py, mnist_mpi.py, predict.py, draw_digit.py and playground.py.
Every other example stands alone: copy the one file, and it runs.

- settings.py: the flags of mnist_mlp.py, and the settings of a run that goes on
- recipes.py: named sets of those flags, as plain data
- data.py: the digits of a run, and how they become a model's inputs and targets
- models.py: the networks, and how a saved one is built again
- augment.py: distorted digits, as a layer
- training.py: optimizer, schedule, and a fit that can be interrupted
- folder.py: a run's folder, in which every file is written whole or not at all
- report.py: what a run leaves there: the model, its metrics, its pictures
- pictures.py: the pictures that predict.py is given, as files, folders and CSVs
- photo.py: a digit cut out of a photo, a scan or a drawing, as MNIST has its digits
- web.py: a local server that answers its own page and nobody else
"""
