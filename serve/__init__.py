"""The runtime, text in and entities out, and the core that train and export share with it."""

import os

# ONNX Runtime's builds for Linux ask for Microsoft's servers, and keep a number of this machine in
# the user's home, unless told not to before they are imported (Privacy.md in its wheel). A tagger
# on the line talks to nobody but whom it serves; a value that is there already stands.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
