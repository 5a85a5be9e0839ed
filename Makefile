check: ; ruff format --check . && ruff check . && mypy
test: ; pytest
sample: ; python -m curation.build
bench: ; python -m tests.benchmarks --quick
.PHONY: check test sample bench
