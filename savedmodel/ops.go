package savedmodel

import "strings"

// allowedOps are the operations that a model may consist of: functions of its inputs, its constants
// and its variables alone. The same input gives the same output, and nothing is read, written,
// printed or looked up outside of the session. Decoders of images and audio are left out, for they
// run native code on bytes from outside; so is what TensorFlow has withdrawn, and runs for graphs
// that say that they are old: scripts/fuzzops cannot try it. The names are TensorFlow's.
var allowedOps = opSet(
	// Inputs, constants, and passing values on.
	`Placeholder PlaceholderV2 PlaceholderWithDefault Const HostConst NoOp Identity IdentityN
		Snapshot StopGradient PreventGradient EnsureShape GuaranteeConst ControlTrigger`,
	// Checks of values, which end a run with an error.
	`Assert CheckNumerics CheckNumericsV2`,
	// Variables: made, set by the initialiser or the saver, read.
	`Variable VariableV2 VarHandleOp Assign AssignVariableOp IsVariableInitialized
		VarIsInitializedOp ReadVariableOp VariableShape DisableCopyOnRead ResourceGather
		ResourceGatherNd`,
	// Calls and control flow; called functions are checked too.
	`PartitionedCall StatefulPartitionedCall If StatelessIf While StatelessWhile Case StatelessCase
		For ToBool Switch RefSwitch Merge RefMerge Enter RefEnter Exit RefExit NextIteration
		RefNextIteration LoopCond RefIdentity MapDefun`,
	// Arithmetic, element by element.
	`Abs Acos Acosh Add AddN AddV2 AccumulateNV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh
		BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1
		BesselK1e BesselY0 BesselY1 Betainc BitwiseAnd BitwiseOr BitwiseXor Cast Ceil ClipByValue
		Complex ComplexAbs Conj Cos Cosh Dawsn Digamma Div DivNoNan Equal Erf Erfc Erfinv Exp Expint
		Expm1 Floor FloorDiv FloorMod FresnelCos FresnelSin Greater GreaterEqual Igamma Igammac Imag
		Inv Invert IsFinite IsInf IsNan LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd
		LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma
		PopulationCount Pow Real RealDiv Reciprocal RightShift Rint Round Rsqrt Select SelectV2 Sign
		Sin Sinh Spence Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy
		Xlog1py Xlogy Zeta`,
	// Reductions and scans.
	`All Any ArgMax ArgMin Bincount DenseBincount RaggedBincount SparseBincount Cumprod Cumsum
		CumulativeLogsumexp EuclideanNorm HistogramFixedWidth L2Loss Max Mean Min Prod SegmentMax
		SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum
		SegmentSumV2 Sum UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
		UnsortedSegmentSum`,
	// Matrices and transforms.
	`BandedTriangularSolve BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Cross Diag DiagPart Eig
		Einsum FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND RFFT
		RFFT2D RFFT3D RFFTND LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant
		MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
		MatrixInverse MatrixSetDiag MatrixSetDiagV2
		MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot Qr
		SelfAdjointEigV2 Svd TridiagonalMatMul`,
	// Neural networks.
	`AvgPool AvgPool3D BiasAdd BiasAddV1 CTCBeamSearchDecoder
		CTCGreedyDecoder Conv2D Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D
		Conv3DBackpropInputV2 CudnnRNN CudnnRNNV2 CudnnRNNV3
		DepthwiseConv2dNative Dilation2D Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
		InTopK InTopKV2 LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax
		Relu Relu6 Selu Sigmoid Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign
		SparseSoftmaxCrossEntropyWithLogits`,
	// Quantised arithmetic.
	`FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
		QuantizeAndDequantizeV2 QuantizeAndDequantizeV4 UniformDequantize UniformQuantize
		UniformQuantizedAdd UniformQuantizedClipByValue
		UniformQuantizedDot UniformQuantizedDotHybrid
		UniformRequantize`,
	// Shapes, and moving elements about.
	`BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Bucketize Concat ConcatOffset
		ConcatV2 DataFormatDimMap DataFormatVecPermute DepthToSpace
		DynamicPartition DynamicStitch ParallelDynamicStitch ExpandDims ExtractImagePatches
		ExtractVolumePatches Fill Gather GatherNd GatherV2 InvertPermutation LinSpace ListDiff
		LowerBound MirrorPad NthElement OneHot OnesLike Pack Pad PadV2 ParallelConcat Range Rank
		Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd Shape
		ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze
		StridedSlice TensorScatterUpdate TensorStridedSliceUpdate Tile TopKV2 Transpose
		Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where
		ZerosLike`,
	// Images as tensors.
	`AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression
		DrawBoundingBoxes DrawBoundingBoxesV2 ExtractGlimpse ExtractGlimpseV2
		GenerateBoundingBoxProposals HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3
		NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4
		NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps RGBToHSV ResizeArea ResizeBicubic
		ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate`,
	// Random numbers that follow from a seed given as input.
	`StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial
		StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetAlg
		StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
		StatelessRandomNormalV2 StatelessRandomUniform
		StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
		StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle
		StatelessTruncatedNormal StatelessTruncatedNormalV2`,
	// Lists and arrays of tensors, as loops use them.
	`EmptyTensorList TensorListConcat TensorListConcatLists TensorListConcatV2
		TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
		TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch
		TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList
		TensorListScatterV2 TensorListSetItem TensorListStack TensorArrayV3
		TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
		TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayWriteV3`,
	// Sparse and ragged tensors.
	`RaggedFillEmptyRows RaggedRange RaggedTensorFromVariant
		RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant SparseAdd SparseConcat
		SparseCross SparseCrossV2 SparseDenseCwiseAdd
		SparseDenseCwiseMul SparseFillEmptyRows SparseMatMul SparseReduceMax SparseReduceSum
		SparseReorder SparseReshape SparseSegmentMean SparseSegmentMeanWithNumSegments
		SparseSegmentSqrtN SparseSegmentSqrtNWithNumSegments SparseSegmentSum
		SparseSegmentSumWithNumSegments SparseSlice SparseSoftmax SparseSparseMaximum
		SparseSparseMinimum SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul SparseToDense`,
	// Strings, and records of examples.
	`AsString DecodeBase64 DecodeCSV DecodeJSONExample DecodePaddedRaw DecodeRaw EncodeBase64
		Fingerprint ParseExampleV2 ParseSingleExample
		ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
		StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams
		StringSplit StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast
		StringToHashBucketStrong StringToNumber StringUpper Substr UnicodeDecode
		UnicodeEncode UnicodeScript UnicodeTranscode UnsortedSegmentJoin`,
	// Tables that are filled from tensors and do not change.
	`HashTable HashTableV2 InitializeTable InitializeTableV2 LookupTableFind LookupTableFindV2
		LookupTableSize LookupTableSizeV2`,
)

// variableWriters are allowed where the initialiser or the saver runs them. In a signature they
// would make its output depend on earlier calls.
var variableWriters = opSet("Assign AssignVariableOp")

// saverOps are the saver's own, allowed where nothing but the saver runs them.
var saverOps = map[reacher]map[string]bool{
	byRestore: opSet("RestoreV2 Restore RestoreSlice"),
	bySave:    opSet("SaveV2 Save SaveSlices ShardedFilename ShardedFilespec MergeV2Checkpoints"),
}

// trusting are pure functions that trust the shapes or the numbers of their inputs, which a client
// may choose: at others TensorFlow ends the process, or computes for ever.
// scripts/fuzzops finds them.
var trusting = opSet(`BlockLSTM BlockLSTMV2 ConjugateTranspose Conv CropAndResize Dequantize
	FakeQuantWithMinMaxVarsPerChannel FakeQuantWithMinMaxVarsPerChannelGradient FusedPadConv2D
	FusedResizeAndPadConv2D GRUBlockCell LSTMBlockCell MatrixLogarithm MatrixTriangularSolve
	ParseExample ParseSequenceExample ParseSequenceExampleV2 ParseSingleSequenceExample
	QuantizeAndDequantizeV3 QuantizeV2 RaggedCross RaggedGather SparseCrossHashed
	SparseDenseCwiseDiv StatelessRandomPoisson TensorListSplit TensorScatterAdd TensorScatterMax
	TensorScatterMin TensorScatterSub TridiagonalSolve UnicodeDecodeWithOffsets
	UniformQuantizedConvolution UniformQuantizedConvolutionHybrid`)

// dangers names the operations that do something to the world outside, and what.
var dangers = []struct {
	what string
	ops  map[string]bool
}{
	{"reads files", opSet(`ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader
		TextLineReaderV2 TFRecordReader TFRecordReaderV2 FixedLengthRecordReader
		FixedLengthRecordReaderV2 LMDBReader ReaderRead ReaderReadV2 ReaderReadUpTo ReaderReadUpToV2
		InitializeTableFromTextFile InitializeTableFromTextFileV2 ImmutableConst LoadAndRemapMatrix
		GenerateVocabRemapping FixedUnigramCandidateSampler RecordInput Skipgram RestoreV2 Restore
		RestoreSlice DTensorRestoreV2`)},
	{"writes files", opSet(`WriteFile SaveV2 Save SaveSlices DistributedSave MergeV2Checkpoints
		ShardedFilename ShardedFilespec CreateSummaryFileWriter CreateSummaryDbWriter SummaryWriter
		WriteSummary WriteRawProtoSummary WriteScalarSummary WriteHistogramSummary WriteImageSummary
		WriteAudioSummary WriteGraphSummary FlushSummaryWriter CloseSummaryWriter ImportEvent
		DumpTensor CalibrationStatisticsSaver DebugIdentity DebugIdentityV2 DebugIdentityV3
		DebugNanCount DebugNumericSummary DebugNumericSummaryV2 Copy CopyHost`)},
	{"runs Python", opSet("PyFunc PyFuncStateless EagerPyFunc")},
	{"uses the network", opSet(`RpcCall RpcCheckStatus RpcClient RpcGetValue RpcServer
		RpcServerRegister RpcServerStart DeleteRpcFutureResource RemoteCall Send Recv _Send _Recv
		_HostSend _HostRecv CollectiveInitializeCommunicator`)},
	{"runs compiled code", opSet(`XlaLaunch XlaLaunchV2 XlaCallModule XlaCustomCall XlaCustomCallV2
		XlaHostCompute _XlaCompile _XlaRun TPUExecute TPUCompile`)},
	{"prints", opSet("Print PrintV2")},
	{"ends the process", opSet("Abort")},
	{"waits", opSet("SleepOp SleepIdentityOp")},
	{"changes the file system's settings", opSet("FileSystemSetConfiguration")},
	{decodesBytes, opSet(`DecodeJpeg DecodeAndCropJpeg ExtractJpegShape DecodePng
		DecodeGif DecodeBmp DecodeImage DecodeWebP DecodeJxl DecodeWav DecodeCompressed
		DecodeProtoV2 ParseTensor UncompressElement`)},
}

// danger says what an operation that is not on the allow-list does to the world outside; "" where
// nothing is known.
func danger(op string) string {
	for _, d := range dangers {
		if d.ops[op] {
			return d.what
		}
	}
	if strings.Contains(op, "Dataset") || strings.Contains(op, "Iterator") {
		return "belongs to input pipelines, which read files"
	}
	return ""
}

func opSet(groups ...string) map[string]bool {
	set := map[string]bool{}
	for _, group := range groups {
		for _, op := range strings.Fields(group) {
			set[op] = true
		}
	}
	return set
}
