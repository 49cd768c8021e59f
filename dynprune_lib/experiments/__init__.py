"""From a spec to a record: data, models, the training loop, the store, sweeps."""
