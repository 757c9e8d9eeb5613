"""Pictures of images, training, layers and graphs, as matplotlib figures made without pyplot."""

from .digits import mistakes as mistakes
from .digits import predictions as predictions
from .digits import probabilities as probabilities
from .digits import samples as samples
from .graph import draw_graph as draw_graph
from .graph import graph_dot as graph_dot
from .graph import graph_figure as graph_figure
from .graph import graph_svg as graph_svg
from .graph import tensor_html as tensor_html
from .layers import feature_maps as feature_maps
from .layers import filters as filters
from .layers import first_layer_weights as first_layer_weights
from .recording import recording as recording
from .training import confusion_matrix as confusion_matrix
from .training import learning_curves as learning_curves
from .training import live as live
