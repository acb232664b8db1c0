#!/usr/bin/env bash
# The main job: trained KDA language models read a document of this repository and go on writing, then
# tell what each precision of the library costs on it.
# Usage: tools/demo.sh FLASH_KDA DOCUMENT MODEL.safetensors...
set -euo pipefail
tool=${1:?usage: tools/demo.sh FLASH_KDA DOCUMENT MODEL...}
document=${2:?usage: tools/demo.sh FLASH_KDA DOCUMENT MODEL...}
shift 2

size=$(wc -c < "$document")
if [ "$size" -lt 8000 ]; then
  echo "tools/demo.sh: $document: expected at least 8000 bytes, got $size" >&2
  exit 2
fi
for model in "$@"; do
  printf '\n=== %s reads %s (%s bytes)\n' "$model" "$document" "$size"
  "$tool" generate --model "$model" --prompt-file "$document" --tokens 400 \
    --temperature 0.7 --top-k 40  # greedy decoding repeats itself on models this small
  printf '\n'
  "$tool" evaluate --model "$model" --prompt-file "$document"
done
