"""Written by ``python tests/test_typed_names.py``; a test holds it against what guides finds."""

from guides.base import Guide as Guide
from guides.bottom_up import BottomUp as BottomUp
from guides.delta import Delta as Delta
from guides.encoders import ConvEncoder as ConvEncoder
from guides.encoders import Encoder as Encoder
from guides.encoders import MLPEncoder as MLPEncoder
from guides.full_rank import FullRank as FullRank
from guides.householder import Householder as Householder
from guides.iaf import IAF as IAF
from guides.low_rank import LowRank as LowRank
from guides.mean_field import MeanField as MeanField
from guides.mixture import Mixture as Mixture
from guides.nsf import NSF as NSF
from guides.planar import Planar as Planar
from guides.radial import Radial as Radial
from guides.real_nvp import RealNVP as RealNVP
from guides.semi_amortized import SemiAmortized as SemiAmortized
from guides.sylvester import Sylvester as Sylvester
from guides.top_down import TopDown as TopDown

ENCODERS: dict[str, type[Encoder]]
GUIDES: dict[str, type[Guide]]
