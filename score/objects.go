package score

import (
	"context"
	"errors"

	"kerasrun/classify"
	"kerasrun/object"
)

// requests is how many objects are asked for at a time.
const requests = 32

// storeError is the error where a whole store cannot be used, which no image has to answer for.
func storeError(err error) error {
	if store := (*object.StoreError)(nil); errors.As(err, &store) {
		return store
	}
	return nil
}

// storeErrorOf is the first storeError of a batch's images.
func storeErrorOf(b *classify.Batch) error {
	for _, err := range b.Errors {
		if err := storeError(err); err != nil {
			return err
		}
	}
	return nil
}

// objectItem is the image in an object, whose size and version are -1 and "" where it was not
// listed.
func objectItem(path string, size int64, version string) Item {
	open := func(ctx context.Context) (object.File, error) {
		return object.OpenVersion(ctx, path, version)
	}
	return Item{Path: path, Size: size, version: version, open: open,
		Read: func() ([]byte, error) { return readObject(path, opened(open(context.Background()))) }}
}

// openedObject is an object that was opened, or why it was not.
type openedObject struct {
	file object.File
	err  error
}

func opened(file object.File, err error) openedObject { return openedObject{file, err} }

// size is that of an object's bytes; of what cannot be read 0. Where it is not known it is the
// largest.
func (o openedObject) size() int64 {
	if o.err != nil {
		return 0
	}
	info, err := o.file.Stat()
	if err != nil || info.Size() < 0 {
		return MaxImageBytes
	}
	return min(info.Size(), MaxImageBytes)
}

func (o openedObject) close() {
	if o.err == nil {
		_ = o.file.Close() // it was not read
	}
}

func readObject(path string, o openedObject) ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	defer o.file.Close()
	info, err := o.file.Stat()
	if err != nil {
		return nil, err
	}
	return readImage(path, o.file, info.Size())
}

// opening are objects that are asked for ahead, in the order of their images: a store answers late,
// and many at a time.
type opening struct {
	*pipeline
	ctx   context.Context
	yield func(classify.Image) bool
	queue []openingItem
}

type openingItem struct {
	item   Item
	index  int64
	opened chan openedObject
}

// add takes an item, and passes on those before it that may no longer wait. It returns false where
// no more are wanted.
func (o *opening) add(item Item, index int64) (more bool, err error) {
	crashed := o.journal != nil && o.journal.crashed[index/int64(o.Batch)]
	if item.open == nil || crashed {
		if more, err := o.flush(0); !more || err != nil {
			return more, err
		}
		image, err := o.take(o.ctx, item, index)
		return err == nil && o.yield(image), err
	}
	if more, err := o.flush(requests - 1); !more || err != nil {
		return more, err
	}
	done := make(chan openedObject, 1)
	o.queue = append(o.queue, openingItem{item, index, done})
	go func() { done <- opened(item.open(o.ctx)) }()
	return true, nil
}

// flush passes on the first of the queue until it has no more than so many.
func (o *opening) flush(left int) (more bool, err error) {
	for len(o.queue) > left {
		first := o.queue[0]
		o.queue = o.queue[1:]
		object := <-first.opened
		item := first.item
		item.Size = object.size()
		item.Read = func() ([]byte, error) { return readObject(item.Path, object) }
		image, err := o.take(o.ctx, item, first.index)
		if err != nil {
			object.close()
			return false, err
		}
		if !o.yield(image) {
			return false, nil
		}
	}
	return true, nil
}

// close closes what was opened and is not wanted.
func (o *opening) close() {
	for _, item := range o.queue {
		go func() { (<-item.opened).close() }()
	}
}
