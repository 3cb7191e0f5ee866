#!/usr/bin/env bash
# What a user has after installing the wheel: nothing of the repository, no network for mirfeat.
# Usage: try_wheel.sh WHEEL
set -euo pipefail
wheel="$(realpath "$1")"
music="$(realpath "$(dirname "$0")/../examples/music")"
# Weights are at most 40 MB; anything else that is large got in by mistake.
[ "$(wc -c < "$wheel")" -lt 50000000 ] || { echo "$wheel is too large" >&2; exit 1; }
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip=("$place/venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --no-index --no-deps torch 2>/dev/null || "${pip[@]}" install torch
"${pip[@]}" install "$wheel"
# What is in it, and links of its page: none may lead nowhere.
python3 - "$wheel" <<'EOF'
import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = wheel.namelist()
    metadata = next(name for name in names if name.endswith("METADATA"))
    page = wheel.read(metadata).decode()
strange = [n for n in names if not n.startswith("mirfeat/") and ".dist-info/" not in n]
assert not strange, strange
wanted = "py.typed", "adapters/onnx.py", "examples/labels.csv", "weights/choi2017.safetensors"
assert {f"mirfeat/{name}" for name in wanted} <= set(names)
relative = [link for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
assert not relative, relative
print(len(names), "files in the wheel")
EOF
cd "$place"
export HF_HUB_OFFLINE=1 MIRFEAT_CACHE="$place/cache" PATH="$place/venv/bin:$PATH"
mirfeat list
mirfeat extract "$music" -m choi2017 -o features
mirfeat demo -o demo --no-open
mirfeat tags "$music/folk_tavern.opus" --top 3
python - <<'EOF'
import mirfeat
table = mirfeat.load_features("features")
assert len(table) > 10, table
assert "venv" in mirfeat.__file__, mirfeat.__file__
print("the wheel works:", table)
EOF
