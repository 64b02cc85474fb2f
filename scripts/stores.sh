#!/bin/sh
# Installs the servers of S3's and Azure's protocols that `make test-stores` starts into .stores.
set -eu
cd "$(dirname "$0")/.."
trap 'rm -rf .stores' EXIT # of what is half installed
python3 -m venv .stores/venv
.stores/venv/bin/pip install -q 'moto[s3,server]==5.2.5'
npm install --silent --no-fund --no-audit --prefix .stores azurite@3.37.0
trap - EXIT
