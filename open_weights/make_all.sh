#!/bin/sh
# The open weights, from nothing. Stop it whenever you like: the same line goes on.
#
#   sh open_weights/make_all.sh FOLDER SOUNDFONTS MN04.safetensors CLASSES.csv
#
# In the repository's root, on Debian 12 or a derivative, with mirfeat[train], mido and pyworld
# installed, and the packages fluidsynth, mma and flite. SOUNDFONTS holds FluidR3_GM.sf2 and
# TimGM6mb.sf2; the last two are what open_weights/teach.py reads.
#
# With TRY=1 in the environment it makes a little of everything and trains every network for four
# steps, which takes minutes and teaches nothing: a try of the whole way.
set -e
folder=$1; fonts="$2/FluidR3_GM.sf2 $2/TimGM6mb.sf2"
if [ -n "$TRY" ]; then
    packages="--only lugaru-data glob2-data caveexpress-data lincity-ng-data asc-music"
    synthetic="--hours 0.1"; grooves="--rounds 1 --styles 6"; sung="--pieces 4"
    copies="--hours 0.1"; steps="--steps 4"
fi
mkdir -p "$folder"
python open_weights/debian_music.py fetch "$folder/music" $packages
[ -f "$folder/music/tracks.csv" ] || python open_weights/open_corpus.py "$folder/music"
python open_weights/synthesise.py "$folder/synthetic" --soundfont $fonts $synthetic
python open_weights/grooves.py "$folder/grooves" --soundfont $fonts $grooves
python open_weights/sung_grooves.py "$folder/sung" --soundfont $fonts $sung
made="$folder/music/tracks.csv $folder/synthetic/tracks.csv $folder/grooves/tracks.csv $folder/sung/tracks.csv"
python open_weights/open_manifest.py "$folder/originals.csv" $made
python open_weights/altered_copies.py "$folder/originals.csv" "$folder/copies" $copies
python open_weights/open_manifest.py "$folder/open.csv" $made "$folder/copies/tracks.csv"
python open_weights/teach.py "$folder/open.csv" "$folder/teachers" --mn04 "$3" --classes "$4"
python open_weights/teacher_tables.py "$folder/teachers"
python open_weights/configurations.py "$folder" $steps
# Each begins with what the one before it in its family has learnt.
for name in choi2017-1 choi2017-2 choi2017 kim2019-ms-sr-fc-1 kim2019-ms-sr-fc-2 \
    kim2019-ms-sr-fc kim2019-ms-cr-6 kim2019-ms-cr-4 kim2019-ms-cr-2 kim2019-mss-cr \
    kim2018-1 kim2018-mtn kim2018-stn hamel2013-tag hamel2013-genre; do
    mirfeat train "$folder/configurations/$name.toml" --precision bf16-mixed
done
python open_weights/tag_reliability.py "$folder/open.csv" "$folder/teachers/musicnn/tags.parquet" \
    "$folder/runs/choi2017/choi2017.safetensors"
