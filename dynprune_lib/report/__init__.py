"""Turn run records into tables, figures, claims and pages. Needs the extra `notebooks`."""
