"""Find duplicates in a folder of pictures with a peer; runs in the peer's own environment.

python dedup_peers.py cleanvision|imagededup FOLDER OUT.json

Writes, for each variant, the pairs (places in the sorted list of files) and the seconds that it took.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

DISTANCES = range(0, 11, 2)  # 10 is its own choice


def main(name: str, folder: Path, out: Path) -> None:
    places = {path.name: place for place, path in enumerate(sorted(folder.iterdir()))}
    found = {"cleanvision": cleanvision, "imagededup": imagededup}[name](folder, places)
    out.write_text(json.dumps(found))


def cleanvision(folder: Path, places: dict[str, int]) -> dict[str, Any]:
    """Its exact and near duplicates, with the thresholds that it comes with; a set counts as the pairs with its first member."""
    from cleanvision import Imagelab

    began = time.perf_counter()
    lab = Imagelab(data_path=str(folder))
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1)
    sets = [found for kind in ("exact_duplicates", "near_duplicates") for found in lab.info[kind]["sets"]]
    seconds = time.perf_counter() - began
    pairs = [(places[Path(found[0]).name], places[Path(other).name]) for found in sets for other in found[1:]]
    return {"cleanvision": {"pairs": pairs, "seconds": round(seconds, 1)}}


def imagededup(folder: Path, places: dict[str, int]) -> dict[str, Any]:
    """Each hash at each distance."""
    from imagededup.methods import AHash, DHash, PHash, WHash

    found = {}
    for kind in (PHash, DHash, AHash, WHash):
        method = kind(verbose=False)
        began = time.perf_counter()
        hashes = method.encode_images(image_dir=str(folder), num_enc_workers=1)
        encoded = time.perf_counter() - began
        began = time.perf_counter()
        near = method.find_duplicates(encoding_map=hashes, max_distance_threshold=max(DISTANCES), scores=True, num_dist_workers=1)
        seconds = encoded + time.perf_counter() - began
        for most in DISTANCES:
            pairs = [
                (places[name], places[other])
                for name, others in near.items()
                for other, distance in others
                if distance <= most and places[name] < places[other]
            ]
            found[f"imagededup {kind.__name__} {most}"] = {"pairs": pairs, "seconds": round(seconds, 1)}
    return found


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
