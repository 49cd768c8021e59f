"""From records to a page: tables, figures, verdicts, notebooks. Needs the extra `notebooks`."""
