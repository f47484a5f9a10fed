# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
VENV_MMPOSE := .venv-mmpose

# tiny networks run faster on one thread, and threads that wait in a spin would fight over busy cores
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-mmpose e2e bench lint lock nodes workflows
demo: $(VENV)/ready
	$(RUN) -m pipelines demo

test: $(VENV)/ready lint test-mmpose  # one process per core; what needs the server shares one
	$(RUN) -m pytest -n auto --dist loadgroup

test-mmpose: $(VENV_MMPOSE)/ready  # mmpose's real code, and OpenCV 5, in an environment of their own
	COMFYUI_PATH=none $(VENV_MMPOSE)/bin/python -m pytest -q -W ignore \
		tests/pipelines/pose/test_mmpose.py tests/golden/test_humansd_pose.py

e2e: $(VENV)/ready  # against another ComfyUI: make e2e COMFYUI_PATH=…
	$(RUN) -m pytest tests/e2e tests/workflows tests/nodes/test_registration.py

bench: $(VENV)/ready
	$(RUN) -m benchmarks

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

nodes: $(VENV)/ready  # write node_list.json and the frozen signatures anew
	$(RUN) tests/nodes/node_list.py

workflows: $(VENV)/ready  # write workflows/*.json anew; with their thumbnails: make workflows PICTURES=--pictures
	$(RUN) tests/workflows/build.py $(PICTURES)

lock: $(VENV)/ready  # write requirements-dev.txt anew from requirements-dev.in
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url requirements-dev.in -o requirements-dev.txt
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url --no-emit-package opencv-python requirements-mmpose.in -o requirements-mmpose.txt
	echo "mmpose==1.3.2" >> requirements-mmpose.txt

$(VENV)/ready: requirements-dev.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q uv
	$(VENV)/bin/uv pip install -q --python $(RUN) -r requirements-dev.txt
	touch $@

$(VENV_MMPOSE)/ready: requirements-mmpose.txt $(VENV)/ready
	$(VENV)/bin/uv venv -q --clear --python $(RUN) $(VENV_MMPOSE)
	$(VENV)/bin/uv pip install -q --python $(VENV_MMPOSE)/bin/python --no-deps -r requirements-mmpose.txt
	touch $@
