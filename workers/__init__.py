"""The processes that read Kafka and run jobs; each is `python -m workers.NAME`."""

from fcgraph import missing as missing  # what `import fcgraph` sets up: a missing package is one line
