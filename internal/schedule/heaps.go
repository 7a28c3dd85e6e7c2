package schedule

// dueHeap is a heap of tasks. The one that is due next is on top.
type dueHeap[J any] []*task[J]

func (h dueHeap[J]) Len() int           { return len(h) }
func (h dueHeap[J]) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap[J]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].dueIndex, h[j].dueIndex = i, j
}

func (h *dueHeap[J]) Push(x any) {
	t := x.(*task[J])
	t.dueIndex = len(*h)
	*h = append(*h, t)
}

func (h *dueHeap[J]) Pop() any {
	t := popLast((*[]*task[J])(h))
	t.dueIndex = -1
	return t
}

// touchHeap is a heap of tasks. The one with the oldest known touch is on top.
type touchHeap[J any] []*task[J]

func (h touchHeap[J]) Len() int           { return len(h) }
func (h touchHeap[J]) Less(i, j int) bool { return h[i].knownTouch.Before(h[j].knownTouch) }

func (h touchHeap[J]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].touchIndex, h[j].touchIndex = i, j
}

func (h *touchHeap[J]) Push(x any) {
	t := x.(*task[J])
	t.touchIndex = len(*h)
	*h = append(*h, t)
}

func (h *touchHeap[J]) Pop() any { return popLast((*[]*task[J])(h)) }

// popLast takes the last task off a heap.
func popLast[J any](h *[]*task[J]) *task[J] {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
