#!/bin/sh
# The open weights, from nothing. Stop it whenever you like: the same line goes on.
#
#   sh open_weights/make_all.sh FOLDER SOUNDFONTS MN04.safetensors CLASSES.csv
#
# In the repository's root, on Debian 12 or a derivative, with mirfeat[train] and mido installed, and
# the packages fluidsynth and mma. FOLDER is `../open` where the configurations are used as they are.
# SOUNDFONTS holds FluidR3_GM.sf2 and TimGM6mb.sf2; the last two are what open_weights/teach.py reads.
set -e
folder=$1; fonts="$2/FluidR3_GM.sf2 $2/TimGM6mb.sf2"
mkdir -p "$folder"
python open_weights/debian_music.py fetch "$folder/music"
[ -f "$folder/music/tracks.csv" ] || python open_weights/open_corpus.py "$folder/music"
python open_weights/synthesise.py "$folder/synthetic" --soundfont $fonts --hours 5
python open_weights/grooves.py "$folder/grooves" --soundfont $fonts
python open_weights/open_manifest.py "$folder/open.csv" "$folder/music/tracks.csv" \
    "$folder/synthetic/tracks.csv" "$folder/grooves/tracks.csv"
python open_weights/teach.py "$folder/open.csv" "$folder/teachers" --mn04 "$3" --classes "$4"
python open_weights/teacher_tables.py "$folder/teachers"
# Each begins with what the one before it in its family has learnt.
for name in choi2017-1 choi2017-2 choi2017 kim2019-ms-sr-fc-1 kim2019-ms-sr-fc-2 kim2019-ms-sr-fc \
    kim2019-ms-cr-6 kim2019-ms-cr-4 kim2019-ms-cr-2 kim2019-mss-cr \
    kim2018-1 kim2018-mtn kim2018-stn hamel2013-tag hamel2013-genre; do
    mirfeat train "open_weights/open/$name.toml" --precision bf16-mixed
done
