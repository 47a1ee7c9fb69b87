"""What serving with Triton needs: its configuration, the model it runs, protocol and processes."""

from serve.errors import ServerError


def missing_package(error: ImportError) -> ServerError:
    """Return the error for a machine without the packages of the extra `triton`."""
    return ServerError(
        f"expected the package tritonclient, got {error}; pip install linetag[triton]"
    )
