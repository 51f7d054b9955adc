"""The edge where things arrive and jobs run."""

import warnings

from authlib.deprecate import AuthlibDeprecationWarning

# Quix Streams imports authlib, which tells everybody ("always") that a library it uses has a successor. Its wish is
# overruled here, before anything of Quix Streams is imported: to whoever runs a consumer it says nothing.
warnings.simplefilter("ignore", AuthlibDeprecationWarning)
