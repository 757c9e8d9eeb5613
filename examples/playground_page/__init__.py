"""The parts of playground.py, one purpose in each file. The server is in ../runner/web.py.

- page.html: the page with its text, its style and its script
- server.py: which function answers which request of the page
- events.py: server-sent events for every connected page
- checks.py: check what a page asks for before anything is done
- settings.py: what can be set under Learn
- data.py: points on the plane, and digits
- training.py: a model in training, in a thread of its own
- pace.py: steps per second, and how much of the time the page may use
- frames.py: what the page shows about a training: pictures, scores, curves
- inside.py: what happens inside a model that sees a digit
- expression.py: an expression like a*b + tanh(c), read without running it as Python
- steps.py: a graph as a picture, and the backward pass one node at a time
- saved.py: opens a model that mnist_mlp.py or mnist_cnn.py saved
- export.py: the page as one file that needs no Python
"""
