"""Run clip-retrieval's own inference; started by benchmarks.embed with the interpreter of clip-retrieval's environment.

python embed_peer.py TARS OUT MODEL BATCH_SIZE
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

DECODERS = 2


class Quiet:
    """A logger that starts no process."""

    def start(self) -> None:
        pass

    def end(self) -> None:
        pass

    def __call__(self, stats: Any) -> None:
        pass


def main(tars: Path, out: Path, model: str, batch_size: int) -> None:
    import open_clip
    from clip_retrieval.clip_inference import mapper, reader, runner, writer

    towers, _, preprocess = open_clip.create_model_and_transforms(model)  # random weights: there may be no network
    tokenizer = open_clip.get_tokenizer(model)
    mapper.load_clip = lambda **_how: (towers.eval(), preprocess, tokenizer)
    began: list[float] = []
    pairs: list[int] = []

    def mapped() -> Any:
        encode = mapper.ClipMapper(True, True, False, False, model, False, "")

        def timed(batch: Any) -> Any:
            began.append(time.monotonic())
            pairs.append(len(batch["text"]))
            return encode(batch)

        return timed

    work = runner.Runner(
        reader_builder=lambda sampler: reader.WebdatasetReader(
            sampler, preprocess, tokenizer, [str(tar) for tar in sorted(tars.glob("*.tar"))], batch_size, DECODERS
        ),
        mapper_builder=mapped,
        writer_builder=lambda number: writer.NumpyWriter(number, str(out), True, True, False, 1),
        logger_builder=lambda _number: Quiet(),
        output_partition_count=1,
    )
    work(0)
    print(json.dumps({"images_per_s": sum(pairs) / (time.monotonic() - began[0]), "images": sum(pairs)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
