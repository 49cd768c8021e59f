import dynprune_lib.integrations  # noqa: F401 (puts torchvision in order before the libraries import it)
