#!/bin/sh
# Installs the servers of S3's and Azure's protocols that `make test-stores` starts into .stores.
set -eu
cd "$(dirname "$0")/.."
command -v npm >/dev/null ||
  { echo "stores: expected npm, found none: install Node.js" >&2; exit 1; }
rm -rf .stores # of another version, or half installed
.venv/bin/uv venv -q --python .venv/bin/python .stores/venv
.venv/bin/uv pip install -q --python .stores/venv/bin/python 'moto[s3,server]==5.2.5'
npm install --silent --no-fund --no-audit --prefix .stores azurite@3.37.0
touch .stores/installed
