"""The runtime, text in and entities out, and the core that train and export share with it."""
