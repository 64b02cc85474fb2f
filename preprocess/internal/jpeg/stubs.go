package jpeg

type arithConditioning struct{}

func (*arithConditioning) reset() {}

type arithDecoder struct{}

func (d *decoder) readDAC() error          { return UnsupportedError("arithmetic coding") }
func (d *decoder) startArithmetic() error  { return UnsupportedError("arithmetic coding") }
func (d *decoder) startProgressive() error { return UnsupportedError("progressive") }
func (d *decoder) decodeScans() error      { return UnsupportedError("progressive") }
