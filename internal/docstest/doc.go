// Package docstest tests the repository's Markdown pages: their links, their code blocks and their
// words. It has tests only.
//
// The first word after a block's fence says what the tests do with the block:
//
//	go               go vet. Without a package clause it is the body of a func with a ctx
//	go outside       built in a module outside the repository, and run
//	go source=FILE   has to be that file, but for the file's first line
//	sh               run by bash, with kerasrun on the path
//	sh serve         the same, while kerasrun serve answers on the page's addresses
//	console          what follows "$ " is run, and has to print the lines below; "..." is any lines
//	python           run by .venv's Python
//	python serve     the same, while kerasrun serve answers on the page's addresses
//	json             parsed
//	text, csv        shown only
//
// The blocks of a page are run in order, in a directory with cat.jpg, photos/, testdata/ and
// models/, which has resnext50 and efficientnet-lite0.
//
// sh and python may be followed by norun=REASON, where a test cannot run them. Then bash or Python
// parses the block. The tests check that each command of kerasrun, make and the exporter exists and
// has the flags that it is given. Any other kind of block fails the test.
package docstest
