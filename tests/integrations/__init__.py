"""Processes that tests start import this, too: it makes the import of torchvision work for the libraries."""

import dynprune_lib.integrations  # noqa: F401
