package schedule

// queue is a heap of tasks by the time they are due.
type queue[J any] []*task[J]

func (q queue[J]) Len() int           { return len(q) }
func (q queue[J]) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue[J]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue[J]) Push(x any) {
	t := x.(*task[J])
	t.index = len(*q)
	*q = append(*q, t)
}

func (q *queue[J]) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.index = -1
	return t
}

// byTouch is a heap of tasks by the time they were touched, as far as it knows.
type byTouch[J any] []*task[J]

func (b byTouch[J]) Len() int           { return len(b) }
func (b byTouch[J]) Less(i, j int) bool { return b[i].seen.Before(b[j].seen) }

func (b byTouch[J]) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].place, b[j].place = i, j
}

func (b *byTouch[J]) Push(x any) {
	t := x.(*task[J])
	t.place = len(*b)
	*b = append(*b, t)
}

func (b *byTouch[J]) Pop() any {
	last := len(*b) - 1
	t := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return t
}
