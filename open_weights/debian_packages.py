"""Debian packages with openly licensed music: where it lies, and under which licence.

Licences were read in each package's ``/usr/share/doc/<package>/copyright`` and in the files beside
the music that it refers to.
"""

from __future__ import annotations

from dataclasses import dataclass

SONGS = "usr/share/games/fretsonfire/data/songs"


@dataclass(frozen=True)
class Package:
    """A Debian package, the folder in it that holds music, and the licences found there.

    ``archive`` is a zip inside the package; ``root`` is then a folder inside that zip.
    Where ``root`` holds more than music, ``music`` is the folder below it to take.
    ``adds_suffix``: Ogg files have no suffix there; they get ``.ogg``.
    """

    name: str
    root: str
    licence: str
    archive: str = ""
    music: str = "."
    adds_suffix: bool = False


PACKAGES = (
    Package(
        "warzone2100-music",
        "usr/share/games/warzone2100/music",
        "CC-BY-SA-3.0+ or GPL-2+; GPL-2+ only: menu, track3_enhanced, original_soundtrack",
    ),
    Package("wesnoth-1.16-music", "usr/share/games/wesnoth/1.16/data/core/music", "GPL-2+"),
    Package("supertux-data", "usr/share/games/supertux2/music", "GPL-2+"),
    Package("singularity-music", "usr/share/games/singularity/music", "CC-BY-SA-3.0"),
    Package("hyperrogue-music", "usr/share/hyperrogue/music", "CC-BY-SA-3.0"),
    Package("planetblupi-music-ogg", "usr/share/planetblupi/music", "GPL-3+"),
    Package("asc-music", "usr/share/games/asc/music", "GPL-2+"),
    Package(
        "ufoai-music",
        "music",
        "CC-BY-3.0, CC-BY-SA-3.0, GPL-2 or public domain, per track",
        archive="usr/share/games/ufoai/base/0music.pk3",
    ),
    Package(
        "0ad-data",
        "audio",
        "CC-BY-SA-3.0",
        archive="usr/share/games/0ad/mods/public/public.zip",
        music="music",
    ),
    Package(
        "naev-data",
        "usr/share/naev/dat/snd",
        "GPL-2+, GPL-3, CC-BY-3.0, CC-BY-SA-3.0, CC-BY-SA-4.0 or CC0, per track",
        music="music",
    ),
    Package(
        "widelands-data",
        "usr/share/games/widelands/data/music",
        "GPL-2+; CC-BY-SA-3.0: ingame_24, ingame_25, ingame_26",
    ),
    Package("hedgewars-data", "usr/share/games/hedgewars/Data/Music", "GPL-2"),
    Package("nexuiz-music", "sound/cdtracks", "GPL-2+", "usr/share/games/nexuiz/data/music.pk3"),
    Package(
        "supertuxkart-data",
        "usr/share/games/supertuxkart/data/music",
        "CC-BY-SA-3.0, CC-BY-SA-4.0, GPL or GPL-3+, per track",
    ),
    Package("freedroidrpg-data", "usr/share/freedroidrpg/data/sound/music", "GPL-2+"),
    Package("unknown-horizons", "usr/share/unknown-horizons/content/audio/music", "CC-BY-SA-3.0"),
    Package("lincity-ng-data", "usr/share/games/lincity-ng/music", "GPL-2+"),
    Package("fretsonfire-songs-muldjord", f"{SONGS}/muldjord", "CC-BY-SA-3.0"),
    Package("fretsonfire-songs-sectoid", f"{SONGS}/sectoid", "Expat (MIT)"),
    Package("marsshooter-data", "usr/share/games/marsshooter/audio", "CC-BY-SA-3.0"),
    Package("colobot-common-sounds", "usr/share/games/colobot", "GPL-3+", music="music"),
    Package(
        "blobwars-data",
        "usr/share/games/blobwars/music",
        "CC-BY-3.0 or CC-BY-SA-3.0, as tagged and in the copyright file",
        adds_suffix=True,
    ),
    Package("pushover-data", "usr/share/pushover/themes", "GPL-3+"),
    Package("flare-game", "usr/share/games/flare/mods/fantasycore/music", "CC-BY-SA-3.0+"),
    Package("openclonk-data", "usr/share/games/openclonk/Music.ocg", "CC-BY-3.0: authors.txt"),
    Package("fillets-ng-data", "usr/share/games/fillets-ng/music", "GPL-2"),
    Package("ardentryst", "usr/share/games/ardentryst/Music", "CC-BY-SA-3.0"),
    Package("megaglest-data", "usr/share/games/megaglest/techs", "CC-BY-SA-3.0"),
    Package(
        "redeclipse-data",
        "usr/share/games/redeclipse/data",
        "CC-BY-SA-3.0; CC0: maps/tonatiuh",
    ),
    Package("freeorion-data", "usr/share/games/freeorion/default/data/sound", "CC-BY-SA-3.0"),
    Package("pathological", "usr/share/games/pathological/music", "GPL-2+"),
    Package("berusky2-data", "usr/share/games/berusky2", "GPL-2+", music="music"),
    Package("warmux-data", "usr/share/games/warmux/music", "GPL-2+"),
    Package("zaz-data", "usr/share/games/zaz", "CC-BY-SA-3.0"),
    Package("freecol", "usr/share/games/freecol/default/resources/music", "CC-BY-4.0"),
    Package("xmoto-data", "usr/share/games/xmoto/Textures/Musics", "GPL-2+"),
    Package("extremetuxracer-data", "usr/share/games/etr/music", "GPL-2+"),
    Package("torcs-data", "usr/share/games/torcs/data/music", "GPL-2+"),
    Package("gigalomania-data", "usr/share/gigalomania/music", "CC-BY-3.0"),
    Package("lugaru-data", "usr/share/games/lugaru/Sounds", "CC-BY-SA-3.0"),
    Package("pink-pony-data", "usr/share/games/pink-pony/music", "CC-BY-SA-3.0"),
    Package("cube2-data", "usr/share/games/cube2/packages/music", "CC-BY-SA-3.0"),
    Package("glob2-data", "usr/share/games/glob2/data/zik", "GPL-3+"),
    Package(
        "openarena-088-data",
        "music",
        "GPL-2+",
        archive="usr/share/games/openarena/baseoa/pak6-patch088.pk3",
    ),
    Package("caveexpress-data", "usr/share/games/caveexpress/sounds", "CC-BY-SA-4.0"),
)

# "package/pattern" (the pattern matches the path below Package.root): why it is left out.
EXCLUDED = {
    "freedroidrpg-data/TheBeginning.ogg": "a netlabel's track; its own licence is not stated",
    "freedroidrpg-data/Bleostrada.ogg": "a netlabel's track; its own licence is not stated",
    "supertux-data/forest/greatgigantic.ogg": "after a commercial tune, by its author's leave",
    "hedgewars-data/sdmusic.ogg": "a third party's track; its own licence is not stated",
    "nexuiz-music/thunder.ogg": "a sound effect, no music",
    "supertuxkart-data/*_fast.ogg": "a faster copy of another track",
    "supertuxkart-data/farm_f.ogg": "a faster copy of another track",
    "fretsonfire-songs-muldjord/*/guitar.ogg": "the lone guitar part of song.ogg",
    "fretsonfire-songs-sectoid/*/guitar.ogg": "the lone guitar part of song.ogg",
    "redeclipse-data/sounds/ambience/*": "sound effects, no music",
    "ardentryst/theme1_raw.ogg": "an unfinished version of theme1.ogg",
    "flare-game/wind_ambient.ogg": "a sound effect, no music",
    "lugaru-data/Wind.ogg": "a sound effect, no music",
    "lugaru-data/*Ambient.ogg": "a sound effect, no music",
    "caveexpress-data/cave*.ogg": "a sound effect, no music",
}

# Packages with music that were looked at and not taken, and why.
NOT_TAKEN = {
    "drascula-music": "its own licence: the game may not be sold",
    "starfighter-data": "the licence of each track is not stated",
    "fb-music-high": "one tracker module",
    "xblast-tnt-musics": "short raw samples",
    "boswars-data": "no music in it",
    "btanks-data": "its own reading of the GPL, with exceptions",
    "plee-the-bear-data": "the licence of most, not of each, of its media files is stated",
}
