"""Turn run records into tables, figures, verdicts and pages. Needs the extra `notebooks`."""
