# The commands. Each makes .venv by itself; nothing but python3, pip and make is needed.
PYTHON ?= python3
ARGS ?=

.PHONY: demo test check bench sim install develop lock clean

demo:  ## on this machine: twenty nodes, a private network, folders from several sources, searches in all three modes
	@$(PYTHON) tools/bootstrap.py demo $(ARGS)

test:  ## lint, types, import contracts and every test this machine can run
	@$(PYTHON) tools/bootstrap.py test $(ARGS)

check:  ## the fast part of it, under a minute
	@$(PYTHON) tools/bootstrap.py check $(ARGS)

bench:  ## side-by-side measurements; ARGS="transfer --json" for one of them
	@$(PYTHON) tools/bootstrap.py bench $(ARGS)

sim:  ## ten thousand peers in virtual time, compared with the last change; ARGS="rare-items --peers 100000" for one
	@$(PYTHON) tools/bootstrap.py sim $(ARGS)

install:  ## servent in .venv, ready to run
	@$(PYTHON) tools/bootstrap.py install

develop:  ## and what it takes to work on it
	@$(PYTHON) tools/bootstrap.py develop

lock: develop  ## pin every dependency, with hashes, from pyproject.toml
	@$(PYTHON) tools/lock.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
