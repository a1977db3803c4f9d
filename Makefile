# hepml_root: every target sets up what it needs in its own virtual environment, .venv.
#   make demo   the main job, end to end            make test   the tests          make lint   the checks
#   make bench  the speed figures                   make docs   the HTML pages     make env    only .venv

PYTHON ?= python3.11
VENV   ?= .venv
# Leave `pyroot` out where ROOT comes from conda, LCG or the system: make env EXTRAS=boosted,physics,test,lint,docs
EXTRAS ?= pyroot,boosted,physics,limits,distributed,test,lint,docs
# pytest-xdist workers: one a core, at most 4 (TensorFlow and ROOT take about 1 GB each)
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

BIN  := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES_CXX = $(shell git ls-files '*.hxx' '*.cxx' '*.C' '*.h')

.PHONY: demo test test-slow tutorials-root test-zoo fuzz sanitize lint format bench benchmark-higgs benchmark-top benchmark-susy benchmark-ganplification benchmark-fastsim docs env clean check-tools
.DEFAULT_GOAL := help
.PHONY: help
help:
	@sed -n '2,4s/^# \{0,1\}//p' Makefile

demo: env
	$(BIN)/hepml-root demo --output runs/higgs --overwrite

# A worker that dies is not replaced: pytest-xdist 3.8 waits for ever for some replacements.
test: env
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-slow: env
	$(BIN)/python -m pytest -m slow

# Damaged and hostile model files; more of them: make fuzz FILES=20000 SEED=7
fuzz: env
	HEPML_ROOT_FUZZ_FILES=$(or $(FILES),2400) HEPML_ROOT_FUZZ_SEED=$(or $(SEED),2) \
	  $(BIN)/python -m pytest -s -m slow tests/export/test_fuzzing.py

# The generated code of all architectures under the sanitizers of addresses and of undefined behaviour.
sanitize: env
	$(BIN)/python -m pytest -m "slow or not slow" tests/export/test_sanitizers.py

# Every architecture in full size, compiled as users do, against ONNX Runtime on 10 000 events: minutes.
test-zoo: env
	$(BIN)/python -m pytest -m slow tests/export/test_zoo_parity.py

# ROOT's own tutorials of TMVA, unmodified, with a tally: minutes.
tutorials-root: env
	$(BIN)/python -m tests.root_tutorials $(TUTORIALS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(SOURCES_CXX)

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(SOURCES_CXX)

bench: env
	$(BIN)/python -m benchmarks feed
	$(BIN)/python -m benchmarks representations
	$(BIN)/python -m benchmarks train
	$(BIN)/python -m benchmarks inference

# The samples are generated once, about half an hour on two cores, and kept in runs/samples.
benchmark-higgs: env
	@mkdir -p runs/samples
	@test -f runs/samples/higgs.root || $(BIN)/hepml-root generate higgs --events 50000 --seed 1 --resume -o runs/samples/higgs.root
	@test -f runs/samples/higgs_ttbar.root || $(BIN)/hepml-root generate higgs-ttbar --events 50000 --seed 1 --resume -o runs/samples/higgs_ttbar.root
	$(BIN)/python -m benchmarks higgs --signal runs/samples/higgs.root --background runs/samples/higgs_ttbar.root \
	  --output docs/results/higgs.md

# Generates 200 000 jets, once, and trains every network on ten core minutes for each seed: several hours on
# two cores. It can be stopped; the next call goes on.
benchmark-top: env
	@mkdir -p runs/samples
	@for jets in top qcd; do test -f runs/samples/$${jets}_jets.root || $(BIN)/hepml-root generate $${jets}-jets \
	  --events 100000 --seed 1 --resume -o runs/samples/$${jets}_jets.root || exit 1; done
	$(BIN)/python -m benchmarks top_tagging --top runs/samples/top_jets.root:jets \
	  --qcd runs/samples/qcd_jets.root:jets --page docs/results/top_tagging.md

# Generates the samples, once (15 000 signal events of each kind and 22 240 of background: about an hour on two
# cores), and makes the trainings, less than an hour. It can be stopped; the next call goes on.
benchmark-susy: env
	@mkdir -p runs/samples/susy
	@for sample in stop-900-100:15000 stop-600-400:15000 ttbar-1l:22240; do name=$${sample%%:*}; \
	  test -f runs/samples/susy/$$name.root || $(BIN)/hepml-root generate $$name --events $${sample##*:} --seed 1 \
	  --set PartonLevel:MPI=off --resume -o runs/samples/susy/$$name.root || exit 1; done
	$(BIN)/python -m benchmarks susy --samples runs/samples/susy --export --page docs/results/susy.md

# Trains twenty generators on two sizes of two samples each: a few minutes of one core.
benchmark-ganplification: env
	$(BIN)/python -m benchmarks ganplification --page docs/results/ganplification.md \
	  --picture docs/images/ganplification.png

# Makes 100 000 showers, once (minutes), and trains all generators on them, seven minutes of one core each; less
# than an hour on two cores. It can be stopped; the next call goes on.
benchmark-fastsim: env
	@mkdir -p runs/samples
	@test -f runs/samples/photon_showers_lar-3.root || $(BIN)/hepml-root generate photon-showers --geometry lar-3 \
	  --set energy=10:100 --events 100000 --seed 1 --resume -o runs/samples/photon_showers_lar-3.root
	$(BIN)/python -m benchmarks fastsim --page docs/results/fastsim.md

docs: env
	$(BIN)/sphinx-build -W -q -b html docs docs/_build
	@echo "Open docs/_build/index.html"

env: $(STAMP)

$(STAMP): setup.cfg pyproject.toml | check-tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The module venv is missing. Debian, Ubuntu: apt install python3.11-venv" >&2; exit 1; }
	@echo "Installing hepml_root, ROOT, TensorFlow and Keras into $(VENV) (2 to 5 minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]" || { \
	  echo "The installation failed; the lines above say where." >&2; \
	  echo "If ROOT is what cannot be installed (its pip build is for Linux x86-64, Python 3.11): get it from" >&2; \
	  echo "  https://root.cern/install (conda: conda install -c conda-forge root), then: make env EXTRAS=boosted,physics,test,lint,docs" >&2; \
	  exit 1; }
	@$(BIN)/hepml-root config
	@touch $@

check-tools:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is missing ($(PYTHON) not found). Debian, Ubuntu: apt install python3.11 python3.11-venv;" >&2; \
	  echo "conda: conda create -n hepml python=3.11; or name another: make env PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11; name one with PYTHON=/path/to/python3.11" >&2; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || { echo "Note: no C++ compiler ($${CXX:-g++}): models will run through ROOT's interpreter, slower." >&2; \
	  echo "      Debian, Ubuntu: apt install g++; conda: conda install -c conda-forge cxx-compiler" >&2; }

clean:
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache runs
