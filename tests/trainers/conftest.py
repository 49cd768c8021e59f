import dynprune_lib.trainers  # noqa: F401 (puts torchvision in order before the libraries import it)
