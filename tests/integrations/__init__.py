import dynprune_lib.integrations  # noqa: F401 (makes the import of torchvision work for the libraries)
