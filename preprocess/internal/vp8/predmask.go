package vp8

// modeMasks has for each mode, but predTM, where its samples come from, in three
// masks of 16: from the averages of two neighbours on the edge, from those of
// three, and from the average of all.
//
// They are for the assembly. The edge is s s r q p a b c d e f g h i i: s to p are
// the samples left, from below, a is the corner, and b to i are above.
var modeMasks = func() (masks [nPred][3][16]uint8) {
	const (
		two, three      = 0, 16
		ss, rs, qr, pq  = two + 0, two + 1, two + 2, two + 3
		ap, ab, bc, cd  = two + 4, two + 5, two + 6, two + 7
		de, ef          = two + 8, two + 9
		rss, qrs, pqr   = three + 0, three + 1, three + 2
		apq, bap, abc   = three + 3, three + 4, three + 5
		bcd, cde, def   = three + 6, three + 7, three + 8
		efg, fgh, ghi   = three + 9, three + 10, three + 11
		hii, all, other = three + 12, 32, 0x80
	)
	for mode, sources := range [nPred][16]uint8{
		predDC: {all, all, all, all, all, all, all, all, all, all, all, all, all, all, all, all},
		predVE: {abc, bcd, cde, def, abc, bcd, cde, def, abc, bcd, cde, def, abc, bcd, cde, def},
		predHE: {apq, apq, apq, apq, pqr, pqr, pqr, pqr, qrs, qrs, qrs, qrs, rss, rss, rss, rss},
		predRD: {bap, abc, bcd, cde, apq, bap, abc, bcd, pqr, apq, bap, abc, qrs, pqr, apq, bap},
		predVR: {ab, bc, cd, de, bap, abc, bcd, cde, apq, ab, bc, cd, pqr, bap, abc, bcd},
		predLD: {bcd, cde, def, efg, cde, def, efg, fgh, def, efg, fgh, ghi, efg, fgh, ghi, hii},
		predVL: {bc, cd, de, ef, bcd, cde, def, efg, cd, de, ef, fgh, cde, def, efg, ghi},
		predHD: {ap, bap, abc, bcd, pq, apq, ap, bap, qr, pqr, pq, apq, rs, qrs, qr, pqr},
		predHU: {pq, pqr, qr, qrs, qr, qrs, rs, rss, rs, rss, ss, ss, ss, ss, ss, ss},
	} {
		for i, source := range sources {
			for from := range masks[mode] {
				masks[mode][from][i] = other
			}
			masks[mode][source/16][i] = source % 16 // of all, the first
		}
	}
	return masks
}()
