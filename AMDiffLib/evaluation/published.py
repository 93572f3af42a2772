"""What Xia et al. report: Medical Image Analysis 107B:103831 (2026), Tables 2-4 and Fig. 7.

Forty-four patients and scanners of their own: other data, other lesions, other noise. Beside figures of
another cohort they say what is usual, not who is better; NRMSE by range, above all, depends on the range.
Means and standard deviations.
"""

from __future__ import annotations

import re

from AMDiffLib.labels import SEMANTIC_CLASSES

SOURCE = "Xia et al., Med. Image Anal. 107B:103831 (2026), averaged over all test cases; other data"
AMDIFF = "AMDiff"

Figures = dict[str, tuple[float, float]]

_CLASSES = tuple(structure.name for structure in SEMANTIC_CLASSES)
_REGIONS = ("whole", *_CLASSES)


def _row(names: tuple[str, ...], text: str) -> Figures:
    pairs = [(float(mean), float(sd)) for mean, sd in re.findall(r"(\.\d+)±(\.\d+)", text)]
    return dict(zip(names, pairs, strict=True))


def _nrmse(text: str) -> Figures:
    return _row(_REGIONS, text)


def _dice(text: str) -> Figures:
    return _row(_CLASSES, text)


NRMSE_OF_METHODS: dict[str, dict[str, Figures]] = {
    "mct": {
        "LeqMod-GAN": _nrmse(
            ".156±.144 .151±.106 .125±.059 .156±.067 .160±.085 .169±.081 .169±.109 .132±.064 .134±.062"
        ),
        "SpachTransformer": _nrmse(
            ".149±.160 .160±.134 .086±.031 .123±.044 .132±.079 .142±.070 .155±.112 .102±.049 .111±.047"
        ),
        "Med-DDPM": _nrmse(
            ".153±.123 .232±.306 .105±.040 .159±.061 .132±.149 .147±.107 .152±.073 .119±.058 .132±.050"
        ),
        AMDIFF: _nrmse(
            ".146±.116 .150±.172 .080±.041 .115±.053 .129±.131 .148±.106 .148±.121 .109±.056 .101±.049"
        ),
    },
    "vision": {
        "LeqMod-GAN": _nrmse(
            ".193±.056 .134±.055 .103±.012 .102±.021 .136±.046 .123±.034 .156±.047 .091±.028 .122±.011"
        ),
        "SpachTransformer": _nrmse(
            ".192±.056 .136±.052 .080±.012 .093±.022 .139±.048 .117±.035 .145±.050 .072±.027 .100±.013"
        ),
        "Med-DDPM": _nrmse(
            ".189±.060 .201±.084 .086±.010 .138±.027 .142±.046 .120±.034 .175±.061 .088±.028 .110±.018"
        ),
        AMDIFF: _nrmse(
            ".183±.058 .132±.052 .080±.011 .090±.023 .133±.046 .116±.033 .147±.053 .075±.028 .097±.014"
        ),
    },
    "uexplorer": {
        "LeqMod-GAN": _nrmse(
            ".155±.065 .265±.096 .169±.040 .217±.048 .202±.033 .208±.050 .180±.033 .161±.041 .203±.047"
        ),
        "SpachTransformer": _nrmse(
            ".134±.033 .287±.125 .139±.035 .184±.041 .176±.041 .181±.047 .175±.044 .141±.041 .188±.050"
        ),
        "Med-DDPM": _nrmse(
            ".133±.024 .266±.144 .134±.015 .239±.049 .182±.023 .180±.032 .207±.025 .139±.024 .195±.021"
        ),
        AMDIFF: _nrmse(
            ".130±.026 .250±.123 .126±.016 .188±.026 .172±.025 .177±.027 .182±.026 .125±.024 .180±.022"
        ),
    },
}
"""Table 2, by scanner and method: NRMSE by range, by region."""

DICE_OF_METHODS: dict[str, dict[str, Figures]] = {
    "mct": {
        "SwinUNETR": _dice(".509±.461 .854±.057 .893±.038 .584±.057 .764±.046 .553±.160 .573±.232 .719±.090"),
        "nnMamba": _dice(".526±.330 .850±.061 .905±.029 .618±.066 .774±.047 .554±.164 .575±.226 .738±.078"),
        "Med-SAM": _dice(".531±.336 .865±.049 .903±.037 .628±.059 .773±.044 .591±.155 .570±.230 .630±.109"),
        AMDIFF: _dice(".573±.251 .862±.055 .912±.033 .651±.063 .780±.047 .596±.166 .606±.270 .757±.079"),
    },
    "vision": {
        "SwinUNETR": _dice(".449±.463 .709±.049 .768±.148 .519±.066 .742±.041 .742±.098 .492±.160 .422±.132"),
        "nnMamba": _dice(".438±.231 .690±.062 .810±.093 .549±.064 .742±.042 .719±.145 .506±.081 .434±.134"),
        "Med-SAM": _dice(".440±.323 .715±.056 .815±.101 .554±.075 .764±.044 .726±.121 .500±.131 .450±.158"),
        AMDIFF: _dice(".466±.290 .752±.069 .819±.103 .596±.090 .747±.034 .772±.086 .673±.166 .610±.133"),
    },
    "uexplorer": {
        "SwinUNETR": _dice(".386±.363 .894±.016 .847±.080 .483±.063 .728±.037 .748±.054 .787±.050 .439±.135"),
        "nnMamba": _dice(".338±.336 .888±.112 .839±.095 .520±.108 .693±.047 .759±.067 .781±.074 .591±.089"),
        "Med-SAM": _dice(".368±.318 .899±.021 .859±.062 .563±.066 .732±.043 .731±.079 .825±.046 .603±.127"),
        AMDIFF: _dice(".396±.362 .901±.034 .879±.049 .633±.062 .746±.045 .815±.040 .794±.129 .758±.071"),
    },
}
"""Table 3, by scanner and method: Dice by class."""

NRMSE_OF_ABLATIONS: dict[str, Figures] = {
    AMDIFF: _nrmse(
        ".147±.097 .185±.149 .091±.039 .130±.056 .139±.109 .152±.089 .156±.101 .110±.050 .119±.054"
    ),
    "revision": _nrmse(
        ".163±.099 .217±.171 .093±.040 .137±.058 .155±.120 .167±.097 .174±.113 .113±.054 .123±.055"
    ),
    "organ-regulariser": _nrmse(
        ".156±.105 .186±.172 .107±.038 .134±.070 .156±.115 .166±.098 .163±.118 .114±.057 .128±.052"
    ),
    "lesion-regulariser": _nrmse(
        ".147±.103 .274±.176 .095±.037 .130±.058 .137±.116 .153±.100 .158±.109 .111±.053 .116±.051"
    ),
    "res-mamba": _nrmse(
        ".149±.115 .189±.161 .098±.034 .130±.057 .143±.127 .158±.102 .161±.113 .112±.050 .121±.043"
    ),
}
"""Table 4: NRMSE by range of AMDiff and without each part, averaged over all test cases."""

DICE_OF_ABLATIONS: dict[str, Figures] = {
    AMDIFF: _dice(".520±.216 .860±.066 .894±.056 .641±.047 .768±.048 .666±.167 .658±.253 .742±.133"),
    "revision": _dice(".409±.214 .837±.062 .881±.053 .591±.066 .752±.046 .631±.173 .626±.243 .702±.089"),
    "organ-regulariser": _dice(
        ".519±.225 .855±.074 .882±.061 .632±.064 .763±.045 .652±.169 .652±.251 .731±.120"
    ),
    "lesion-regulariser": _dice(
        ".474±.218 .860±.068 .892±.057 .640±.075 .766±.045 .662±.176 .655±.248 .740±.128"
    ),
    "res-mamba": _dice(".476±.206 .849±.069 .884±.054 .611±.069 .761±.045 .646±.172 .638±.247 .701±.129"),
}
"""Table 4: Dice of AMDiff and without each part, averaged over all test cases."""

NRMSE_BY_RANGE = NRMSE_OF_ABLATIONS[AMDIFF]
DICE = DICE_OF_ABLATIONS[AMDIFF]

R_SQUARED = {
    ("mtv_ml", "lesion"): 0.81,
    ("tlg_g", "lesion"): 0.88,
    ("suv_mean", "liver"): 0.98,
    ("suv_mean", "aorta"): 0.98,
}
"""Fig. 7."""

TLG_BIAS_PERCENT = (-21.60, 47.26)
"""Mean and standard deviation below 20 % counts."""
