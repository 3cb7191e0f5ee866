"""An extractor as an ONNX file: samples in, vectors or rows out, for other languages and browsers.

Everything is in the file: front end, network, statistics, and how clips are cut. The Fourier
transform is computed in double precision there, since runtimes differ in how they round it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirfeat.errors import MissingPackageError
from mirfeat.extractor import Extractor
from mirfeat.files import replacing
from mirfeat.networks.frontend import MelSpectrogram
from mirfeat.pipeline.module import Output

# Runtimes of 2023 and later know it.
OPSET = 18
_MOST_SAMPLES = 1 << 31


class ExportedMel(nn.Module):
    """A mel spectrogram in operators of ONNX. Shape: [B, C, N] -> [B, C, F, T].

    Values are those of :class:`MelSpectrogram`, computed in double precision up to the bands, and
    with them where the spec asks for it.
    """

    window: Tensor
    filterbank: Tensor

    def __init__(self, mel: MelSpectrogram) -> None:
        """The same spectrogram as ``mel``."""
        super().__init__()
        self.spec = mel.spec
        self.register_buffer("window", mel.window.double())
        self.register_buffer("filterbank", mel.filterbank.clone())

    def forward(self, audio: Tensor) -> Tensor:
        """Mel spectrogram of each channel of each segment."""
        spec, half = self.spec, self.spec.n_fft // 2
        if spec.centred:
            audio = nn.functional.pad(audio, (half, half), mode=spec.pad_mode)
        count = 1 + (audio.shape[2] - spec.n_fft) // spec.hop_samples
        starts = torch.arange(count) * spec.hop_samples
        frames = audio[:, :, starts[:, None] + torch.arange(spec.n_fft)].double()
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window))
        strength = spectrum[..., 0].square() + spectrum[..., 1].square()
        if spec.power == 1:
            strength = strength.sqrt()
        return (strength.to(self.filterbank.dtype) @ self.filterbank.T).mT.float()


def export_onnx(
    extractor: Extractor, path: str | os.PathLike[str], *, output: Output = "vector"
) -> Path:
    """Write an extractor to an ONNX file; any number of clips, of any one length, at a time.

    Its input is ``samples``, float32 [clips, channels, samples] at the extractor's rate and with
    its number of channels; its output ``vector`` [clips, dimension] or ``rows`` [clips, rows,
    row_dimension]. The file's metadata has rate, names and provenance.

    >>> mirfeat.export_onnx(mirfeat.load_extractor("mfcc"), "mfcc.onnx").name
    'mfcc.onnx'

    Raises:
        MissingPackageError: onnxscript is not installed.
        OptionError: of ``a+b``, or of an extractor in less precision than float32.
    """
    module = exported_module(extractor, output)
    example = torch.zeros(2, module.channels, 2 * extractor.spec.segment.samples + 1)
    example += torch.linspace(-0.1, 0.1, example.shape[2])
    samples = torch.export.Dim("samples", min=module.min_samples, max=_MOST_SAMPLES)
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=["samples"],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 2: samples},),
                opset_version=OPSET,
                verbose=False,
            )
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        if isinstance(error, ImportError) or "onnxscript" in str(error):
            raise MissingPackageError(
                "exporting needs onnxscript: pip install 'mirfeat[onnx]'"
            ) from error
        raise
    names = extractor.feature_names if output == "vector" else extractor._units[0].row_names
    program.model.metadata_props.update(
        {
            "sample_rate": str(module.sample_rate),
            "min_samples": str(module.min_samples),
            "names": json.dumps(names),
            "provenance": json.dumps(extractor.provenance.to_dict()),
        }
    )
    target = Path(path)
    with replacing(target) as temporary:
        program.save(temporary)
    return target


def exported_module(extractor: Extractor, output: Output = "vector") -> Any:
    """The module that is exported: what :meth:`Extractor.module` gives, in operators of ONNX."""
    module: Any = extractor.module(output=output).cpu()
    module.model.frontend.mel = ExportedMel(module.model.frontend.mel)
    return module


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what torch prints, logs and warns of while it exports."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
