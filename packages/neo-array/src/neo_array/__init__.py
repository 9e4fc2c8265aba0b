"""Device-aware immutable arrays; every op with its forward and derivative rules in one block."""

from typing import TYPE_CHECKING, Final

from neo_array import random as random
from neo_array import tree as tree
from neo_array._array import Array as Array
from neo_array._array import ArrayLike as ArrayLike
from neo_array._device import Device as Device
from neo_array._device import DeviceLike as DeviceLike
from neo_array._device import default_device as default_device
from neo_array._device import set_default_backend as set_default_backend
from neo_array._device import use_device as use_device
from neo_array._dtypes import DType as DType
from neo_array._dtypes import as_dtype as _as_dtype
from neo_array._dtypes import bool_ as _bool
from neo_array._dtypes import complex64 as complex64
from neo_array._dtypes import complex128 as complex128
from neo_array._dtypes import float16 as float16
from neo_array._dtypes import float32 as float32
from neo_array._dtypes import float64 as float64
from neo_array._dtypes import int8 as int8
from neo_array._dtypes import int16 as int16
from neo_array._dtypes import int32 as int32
from neo_array._dtypes import int64 as int64
from neo_array._dtypes import result_type as result_type
from neo_array._dtypes import uint8 as uint8
from neo_array._dtypes import uint16 as uint16
from neo_array._dtypes import uint32 as uint32
from neo_array._dtypes import uint64 as uint64
from neo_array._errors import AxisError as AxisError
from neo_array._errors import DeviceError as DeviceError
from neo_array._errors import DivisionError as DivisionError
from neo_array._errors import DonatedError as DonatedError
from neo_array._errors import DTypeError as DTypeError
from neo_array._errors import KeyReuseError as KeyReuseError
from neo_array._errors import LevelError as LevelError
from neo_array._errors import LinAlgError as LinAlgError
from neo_array._errors import NeoError as NeoError
from neo_array._errors import PolicyError as PolicyError
from neo_array._errors import ShapeError as ShapeError
from neo_array._errors import TreeError as TreeError
from neo_array._info import FloatInfo as FloatInfo
from neo_array._info import IntegerInfo as IntegerInfo
from neo_array._info import NamespaceInfo as NamespaceInfo
from neo_array._info import __array_namespace_info__ as __array_namespace_info__
from neo_array._info import can_cast as can_cast
from neo_array._info import e as e
from neo_array._info import finfo as finfo
from neo_array._info import iinfo as iinfo
from neo_array._info import inf as inf
from neo_array._info import isdtype as isdtype
from neo_array._info import nan as nan
from neo_array._info import newaxis as newaxis
from neo_array._info import pi as pi
from neo_array._payloads import Donated as Donated
from neo_array._payloads import donate as donate
from neo_array._payloads import donate_each as donate_each
from neo_array._primitive import Primitive as Primitive
from neo_array._primitive import Sample as Sample
from neo_array._primitive import bind as bind
from neo_array._primitive import primitive as primitive
from neo_array._primitive import sample as sample
from neo_array._rules import NoDerivative as NoDerivative
from neo_array._rules import Shape as Shape
from neo_array._rules import ZeroDerivative as ZeroDerivative
from neo_array._version import __version__ as __version__
from neo_array.backends import devices as devices
from neo_array.ops import *  # noqa: F403  (the ops, each exported by name in ops/__init__.py)

for _name, _value in list(vars().items()):  # the star brings the files of ops along, and ops.linalg is not our linalg
    if getattr(_value, "__name__", "").startswith("neo_array.ops.") and hasattr(_value, "__file__"):
        del vars()[_name]

from neo_array import fft as fft  # noqa: E402
from neo_array import linalg as linalg  # noqa: E402

__array_api_version__: Final = "2024.12"
bool: Final[DType] = _bool  # the standard's name; `import ... as bool` would be no export to type checkers

if TYPE_CHECKING:
    bfloat16: DType
else:

    def __getattr__(name: str) -> DType:
        """Return bfloat16 when it is asked for: ml_dtypes, which defines it, is not loaded before."""
        if name == "bfloat16":
            return _as_dtype(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
