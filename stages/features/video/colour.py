"""Pictures of a high dynamic range as ordinary ones: what a player shows on an ordinary screen, not the raw signal.

The signal becomes light (PQ: SMPTE ST 2084; HLG: ARIB STD-B67, both as in ITU-R BT.2100), BT.2020's primaries become
BT.709's (ITU-R BT.2087), and the light becomes the signal of an ordinary screen (ITU-R BT.1886). White of ordinary
video is 203 cd/m2 in HDR (ITU-R BT.2408): up to three quarters of it nothing is changed, above that highlights are
rolled off, channel by channel, until 1,000 cd/m2 are white.
"""

from functools import cache

import av.video.reformatter as av_names
import cv2
import numpy as np

from ....cache.records import Array

PQ, HLG = av_names.ColorTrc.SMPTE2084, av_names.ColorTrc.ARIB_STD_B67
HDR = (int(PQ), int(HLG))
_CODES = 4096  # 12 bits of a signal, as many as HDR video has
_STEPS = 1 << 16  # of the square root of light
_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0  # as most HDR is mastered, and the nominal peak of HLG
_PEAK = _PEAK_NITS / _WHITE_NITS
_KNEE = 0.75  # of white
_SCREEN_GAMMA = 2.4
_HLG_SYSTEM_GAMMA = 1.2  # at a peak of 1,000 cd/m2
_LUMINANCE_2020 = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
_P = av_names.ColorPrimaries
# Linear light of other primaries in those of BT.709, all of white point D65.
_TO_709 = {
    int(_P.BT2020): [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    int(_P.SMPTE432): [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
    int(_P.BT709): np.eye(3).tolist(),
}
_WIDE = {int(_P.BT2020): "BT.2020", int(_P.SMPTE431): "DCI-P3", int(_P.SMPTE432): "Display P3"}
# Numbers of ITU-T H.273 for codings of colour that are refused by FFmpeg's conversion to RGB
UNCONVERTED = {
    **{3: "a reserved number", 8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "SMPTE ST 2085"},
    **{12: "derived from the primaries", 13: "derived from the primaries", 14: "ICtCp", 15: "IPT-C2"},
    **{16: "YCgCo-Re", 17: "YCgCo-Ro"},
}


def colour_note(transfer: int, primaries: int) -> str:
    """What is to be said of pictures with these marks (of ITU-T H.273); nothing of ordinary ones."""
    if transfer in HDR:
        return f"HDR ({'PQ' if transfer == PQ else 'HLG'}), tone-mapped to SDR"
    if primaries in _WIDE:
        return f"wide gamut ({_WIDE[primaries]}), not converted: colours are a little paler than a player shows them"
    return ""


def to_sdr(signal: Array, transfer: int, primaries: int) -> Array:
    """(H, W, 3) uint8 RGB as on an ordinary screen, of (H, W, 3) uint16 R'G'B' of full range. transfer: one of HDR."""
    light: Array = _light_of(transfer)[signal >> 4]
    if transfer == HLG:
        # The reference display's own curve, BT.2100 table 5: it acts on luminance and keeps the hue.
        luminance = cv2.transform(light, _LUMINANCE_2020)
        light *= (_PEAK * luminance ** (_HLG_SYSTEM_GAMMA - 1))[..., None]
    matrix = _TO_709.get(primaries, _TO_709[int(_P.BT2020)])  # HDR that names no primaries has those of BT.2100
    light = cv2.transform(light, np.array(matrix, np.float32))
    np.clip(light, 0, _PEAK, out=light)
    np.sqrt(light, out=light)
    light *= (_STEPS - 1) / _PEAK**0.5
    shown: Array = _shown()[light.astype(np.uint16)]
    return shown


@cache
def _light_of(transfer: int) -> Array:
    """(_CODES,) float32: light of each signal; of a PQ display in units of ordinary white, of an HLG scene 0 to 1."""
    signal = np.arange(_CODES) / (_CODES - 1)
    if transfer == HLG:  # BT.2100, table 5: the inverse OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    # BT.2100, table 4: the EOTF
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return (10_000 / _WHITE_NITS * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)).astype(np.float32)


@cache
def _shown() -> Array:
    """(_STEPS,) uint8: the signal of an ordinary screen for each step of the square root of light."""
    light = _PEAK * (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    signal = rolled_off(light) ** (1 / _SCREEN_GAMMA)
    return np.round(255 * signal).astype(np.uint8)


def rolled_off(light: Array) -> Array:
    """Light in units of white, at most 1: itself up to the knee, then less and less more, and 1 at the peak.

    Source: Reinhard et al., "Photographic tone reproduction for digital images", 2002, equation 4, from the knee on.
    """
    over, room = np.maximum(light - _KNEE, 0), 1 - _KNEE
    rolled = over * (1 + over * room / (_PEAK - _KNEE) ** 2) / (1 + over / room)
    return np.asarray(np.minimum(np.where(light > _KNEE, _KNEE + rolled, light), 1.0))
