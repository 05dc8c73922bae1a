# `make` lists what there is to do.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB := $(PYTHON) -m tests.lab
# DEBVISOR_LAB_NAME names a second lab; its addresses then override those of the first.
LAB_INVENTORY := -i inventories/lab $(if $(DEBVISOR_LAB_NAME),-i build/lab-$(DEBVISOR_LAB_NAME)/hosts.json)
COLLECTION := build/ansible_collections/debvisor/hci
LOCK := requirements/control-node.txt
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# What the lab and the tests need on this machine, as Debian packages.
PACKAGES := podman netavark aardvark-dns iptables nftables iproute2 mmdebstrap openssh-client python3-venv rsync git \
  bind9-dnsutils bind9-utils sqv gnupg openssl qemu-system-x86 qemu-utils e2fsprogs oathtool

# Programs of the virtual environment, and its collections, for everything that is run from here.
export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/sbin:$(CURDIR)/build/bind/usr/sbin:$(CURDIR)/build/prometheus/usr/bin
# Ansible starts a Python process for each task and host. Without its bytecode each compiles what it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## show this list
	@echo "debvisor.hci: a hyper-converged cluster on Debian 13, kept healthy by Ansible"
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z%-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##- Preparation

.PHONY: deps
deps: ## install the Debian packages that this machine lacks for the lab and the tests
	@missing=""; \
	for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then echo "deps     all Debian packages are there"; exit 0; fi; \
	echo "deps     installing$$missing"; \
	$(SUDO) apt-get update -qq; \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing

# The tests want BIND's server program, and nobody wants its service on this machine: unpack it, do not install it.
NAMED := build/bind/usr/sbin/named
$(NAMED):
	@echo "named    unpacking Debian's bind9 to build/bind; it is not installed"
	@mkdir -p build/bind/download
	@chmod 0777 build/bind/download
	@cd build/bind/download && rm -f *.deb && apt-get download -qq bind9
	@dpkg-deb --extract build/bind/download/bind9_*.deb build/bind
	@touch $@

# So with the program that tests Prometheus' alert rules; the rest of its package stays packed.
PROMTOOL := build/prometheus/usr/bin/promtool
$(PROMTOOL):
	@echo "promtool unpacking it from Debian's prometheus to build/prometheus; that is not installed"
	@mkdir -p build/prometheus/download
	@chmod 0777 build/prometheus/download
	@cd build/prometheus/download && rm -f *.deb && apt-get download -qq prometheus
	@dpkg-deb --fsys-tarfile build/prometheus/download/prometheus_*.deb | tar -x -C build/prometheus ./usr/bin/promtool
	@rm -r build/prometheus/download
	@touch $@

.PHONY: venv
venv: $(VENV)/.complete ## make the virtual environment in .venv; made anew when the lock changes

$(VENV)/.complete: $(LOCK)
	@echo "venv     making $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --no-deps --requirement $(LOCK)
	@$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@

.PHONY: lock
lock: ## resolve requirements/control-node.in anew (needs pip-tools; use Python 3.11, the oldest we support)
	@cd requirements && CUSTOM_COMPILE_COMMAND="make lock" $(PYTHON) -m piptools compile --quiet --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file control-node.txt control-node.in

.PHONY: collection
collection: ## let Ansible find this checkout as the collection debvisor.hci
	@mkdir -p $(dir $(COLLECTION))
	@[ -L $(COLLECTION) ] || rm -rf $(COLLECTION) # an installed copy would be tested in the checkout's place
	@ln -sfT "$(CURDIR)" $(COLLECTION)

##- The lab

.PHONY: lab
lab: deps venv collection ## bring up three nodes on this machine, converge them, and show the result
	@$(LAB) up
	@$(BIN)/ansible-playbook debvisor.hci.site $(LAB_INVENTORY)
	@$(LAB) status

.PHONY: lab-status
lab-status: ## show nodes, addresses, roles, the VIP and the zones
	@$(LAB) status

.PHONY: lab-shell
lab-shell: ## open a root shell: make lab-shell NODE=node1
	@$(LAB) shell $(or $(NODE),node1)

.PHONY: lab-down
lab-down: ## remove the lab
	@$(LAB) down

##- The virtual machine

.PHONY: vm
vm: deps venv collection ## start a virtual machine with LVM and ZFS, for what a container cannot show
	@$(BIN)/python -m tests.vm up

.PHONY: vm-shell
vm-shell: ## open a root shell in it
	@$(BIN)/python -m tests.vm shell

.PHONY: vm-down
vm-down: ## end it; its image stays
	@$(BIN)/python -m tests.vm down

##- Tests

TOOLS := deps venv collection $(NAMED) $(PROMTOOL)
RINGS := $(BIN)/python -m tests.rings

.PHONY: test
test: $(TOOLS) ## run every test that CI runs; the nodes mostly wait, so the others run beside them
	@$(RINGS) test

.PHONY: test-all
test-all: $(TOOLS) ## run every test there is; hours where virtual machines are emulated
	@$(RINGS) all

.PHONY: test-changed
test-changed: $(TOOLS) ## run the rings below which something changed: make test-changed BASE=HEAD~3
	@$(RINGS) changed $(if $(BASE),--base $(BASE))

.PHONY: rings
rings: venv ## show each ring of tests, and what changed since it was green: make rings RING=vm
	@$(RINGS) show $(RING)

test-%: $(TOOLS) ## run one ring, as `make rings` names them: make test-unit, make test-dns
	@$(RINGS) run $*

.PHONY: bench
bench: lab ## measure us and our peers in turn, on the lab; results in build/bench
	@$(BIN)/python -m tests.bench

.PHONY: bench-dns
bench-dns: lab ## the same, for DNS alone
	@$(BIN)/python -m tests.bench dns

.PHONY: bench-wire
bench-wire: venv collection ## our DNS wire code against dnspython, on this machine, without the lab
	@$(BIN)/python -m tests.bench wire

.PHONY: bench-lease
bench-lease: venv collection ## simulate two million schedules of the writer's lease, on this machine, without the lab
	@$(BIN)/python -m tests.bench lease

.PHONY: bench-firewall
bench-firewall: lab ## the same, for lists and bans alone
	@$(BIN)/python -m tests.bench firewall

.PHONY: bench-tsig
bench-tsig: lab ## the same, for TSIG rotation alone
	@$(BIN)/python -m tests.bench tsig

.PHONY: bench-golden
bench-golden: lab ## the same, for clones of golden images alone
	@$(BIN)/python -m tests.bench golden

.PHONY: bench-volume
bench-volume: deps venv collection ## the same, for volumes alone: on this machine, without the lab; needs root and nginx
	@$(SUDO) $(BIN)/python -m tests.bench volume

##- Release

.PHONY: build
build: venv ## build the collection's artifact in build/
	@$(BIN)/ansible-galaxy collection build --force --output-path build .
