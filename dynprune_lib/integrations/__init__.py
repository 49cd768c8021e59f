"""Adapters for the trainers of other libraries, one file per library: `pip install dynprune[integrations]`."""

from dynprune_lib._torchvision import torchvision_datasets

torchvision_datasets()  # both libraries import torchvision: this makes their import work, too
