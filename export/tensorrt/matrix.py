"""Owns the support matrix: which standard operators TensorRT takes, and in which types.

Source: `docs/operators.md` of github.com/onnx/onnx-tensorrt for TensorRT 10.15 (opset 9 to 24), the
newest whole table at hand. TensorRT 11 supports opset 9 to 25 by its "ONNX Opset Guide", so only
the highest opset is taken from there; an operator that only a later table lists is refused here.
The types are those of an operator's data, not of shapes and indices.
"""

from __future__ import annotations

from onnx import TensorProto

SOURCE = "TensorRT 10.15, onnx-tensorrt docs/operators.md"
MIN_OPSET, MAX_OPSET = 9, 25
STANDARD_DOMAINS = ("", "ai.onnx")

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16})
_DOUBLE = frozenset({TensorProto.DOUBLE})  # cast to FP32 by the parser
_INTS = frozenset({TensorProto.INT32, TensorProto.INT64})
_BOOL = frozenset({TensorProto.BOOL})
_SMALL = frozenset({TensorProto.INT8, TensorProto.INT4, TensorProto.FLOAT8E4M3FN})
_UINT8 = frozenset({TensorProto.UINT8})  # inputs and outputs of the network only
_ANY = _FLOATS | _INTS | _BOOL

_GROUPS = {
    _FLOATS: """
        Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv
        ConvTranspose Cos Cosh CumSum Dropout Einsum Elu Erf Exp Floor Gemm GlobalAveragePool
        GlobalLpPool GlobalMaxPool GroupNormalization GRU HardSigmoid HardSwish Hardmax
        InstanceNormalization IsInf LayerNormalization LeakyRelu Log LogSoftmax LRN LSTM
        LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization PRelu QuantizeLinear
        RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal Resize
        RMSNormalization RNN RotaryEmbedding Round Scan Selu Sigmoid Sin Sinh Softmax Softplus
        Softsign Sqrt Tan Tanh ThresholdedRelu Upsample""",
    _FLOATS - {TensorProto.BFLOAT16}: """
        BlackmanWindow DeformConv GridSample HammingWindow HannWindow Mish NonMaxSuppression NonZero
        RoiAlign""",
    frozenset({TensorProto.FLOAT}): "STFT",
    _FLOATS | _INTS: """
        Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual
        Max Mean Min Mod Mul Neg Pad Pow Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
        ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Scatter
        ScatterElements ScatterND Shrink Sign SpaceToDepth Sub Sum TensorScatter TopK""",
    _FLOATS | _INTS | {TensorProto.INT8}: "Gelu",
    _FLOATS | {TensorProto.INT8, TensorProto.FLOAT8E4M3FN}: "Attention",
    _ANY: """
        Concat Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop OneHot Reshape
        ReverseSequence Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where""",
    _ANY | _UINT8: "Cast CastLike",
    _ANY | _SMALL: "Constant ConstantOfShape",
    _BOOL: "And Not Or Xor",
    _SMALL: "DequantizeLinear",
}

SUPPORTED: dict[str, frozenset[int]] = {
    operator: (types | _DOUBLE if types & _FLOATS else types)
    for types, operators in _GROUPS.items()
    for operator in operators.split()
}
"""Element types each supported operator takes, by `onnx.TensorProto.DataType`."""

FIRST_INPUT_IS_DATA = (
    "Attention", "CumSum", "DequantizeLinear", "Dropout", "GRU", "LSTM", "NonMaxSuppression",
    "QuantizeLinear", "RNN", "Resize", "RoiAlign", "RotaryEmbedding", "STFT",
)  # fmt: skip
"""Operators whose other inputs are scales, axes or lengths, with types of their own."""

CONSTANT_INPUTS = {
    "CumSum": 1, "OneHot": 1, "ReduceL1": 1, "ReduceL2": 1, "ReduceLogSum": 1,
    "ReduceLogSumExp": 1, "ReduceMax": 1, "ReduceMean": 1, "ReduceMin": 1, "ReduceProd": 1,
    "ReduceSum": 1, "ReduceSumSquare": 1, "Squeeze": 1, "Unsqueeze": 1,
}  # fmt: skip
"""Which input of an operator has to be known when the engine is built."""
