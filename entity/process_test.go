package entity

import (
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// containerA and containerB are the containers of most stories, the host's
// shell and the shims their processes.
var containerA, containerB, containerC = id(0xa), id(0xb), id(0xc)

func TestTaskTellsTheContainerOfAProcess(t *testing.T) {
	s := newStory(t)
	s.task(10, containerA, 100)
	s.run(10.1, 100, 50, "/app/server")
	s.add(11, event.Auditd, &event.FileWrite{PID: 100, PPID: 50, Path: "/tmp/x"})
	s.add(12, event.Auditd, &event.Socket{PID: 100, PPID: 50, Addr: ipPort("203.0.113.1:443"), Success: true})
	s.add(12, event.Auditd, &event.Socket{PID: 100, PPID: 50, Path: "/var/run/docker.sock"})
	s.run(13, 101, 50, "ls")
	s.commands(containerA, "/app/server [first]")
	s.expect(containerA, []evidence.Kind{evidence.Write}, "writes /tmp/x")
	s.egress(containerA, "203.0.113.1:443")
	if c := s.told().Counts(); c.Placed != 3 || c.Unplaced != 1 || c.Containers != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestAProcessIDIsUsedAgain(t *testing.T) {
	t.Run("within a second", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10.1, 100, 50, "first")
		s.taskExit(20, containerA, 100)
		s.task(20.9, containerB, 100)
		s.run(20.95, 100, 60, "second")
		s.commands(containerA, "first [first]")
		s.commands(containerB, "second [first]")
	})
	t.Run("after minutes", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10.1, 100, 50, "first")
		s.taskExit(20, containerA, 100)
		s.run(300, 100, 50, "host")
		s.task(600, containerB, 100)
		s.run(601, 100, 60, "second")
		s.commands(containerA, "first [first]")
		s.commands(containerB, "second [first]")
	})
	t.Run("by a process of the host, soon", func(t *testing.T) {
		// The parent is known and no runtime's: a start that fits only with
		// tolerance is another process's.
		s := newStory(t)
		s.run(1, 70, 69, "bash")
		s.task(10, containerA, 100)
		s.taskExit(20, containerA, 100)
		s.run(23, 100, 70, "curl", "http://203.0.113.1/")
		s.run(90, 100, 70, "curl", "http://203.0.113.2/")
		s.commands(containerA)
	})
	t.Run("by an exec in the same container", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		for i := range 3 {
			at := float64(20 + 10*i)
			s.execTask(at, containerA, "e", 200)
			s.run(at+0.1, 200, 50, "check")
			s.execExit(at+1, containerA, "e", 200)
		}
		s.commands(containerA, "check [exec]", "check [exec]", "check [exec]")
	})
}

func TestACommandThatComesBeforeItsTask(t *testing.T) {
	for name, early := range map[string]float64{"by 5 s": 5, "by 100 s": 100} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.run(200-early, 100, 50, "server")
			s.task(200, containerA, 100)
			s.commands(containerA, "server [first]")
		})
	}
	t.Run("by more than clocks differ", func(t *testing.T) {
		s := newStory(t)
		s.run(200-121, 100, 50, "server")
		s.task(200, containerA, 100)
		s.commands(containerA)
	})
	t.Run("the tightest tolerance decides", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.taskExit(20, containerA, 100)
		s.task(26, containerB, 100)
		s.run(24, 100, 50, "late of A or early of B") // 4 s and 2 s
		s.run(25.9, 100, 50, "early of B")
		s.commands(containerA)
		s.commands(containerB, "early of B [first]")
		if c := s.told().Counts(); c.Ambiguous != 1 {
			t.Errorf("%d ambiguous, want 1", c.Ambiguous)
		}
	})
	t.Run("two containers claim the process", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.task(12, containerB, 100)
		s.run(20, 100, 50, "whose")
		s.run(21, 101, 100, "whose child")
		s.commands(containerA)
		s.commands(containerB)
		if c := s.told().Counts(); c.Ambiguous != 2 {
			t.Errorf("%d ambiguous, want 2", c.Ambiguous)
		}
	})
	t.Run("the parent knows what the task does not", func(t *testing.T) {
		s := newStory(t)
		s.task(1, containerB, 90)
		s.run(2, 90, 60, "init of B")
		s.task(10, containerA, 100)
		s.taskExit(20, containerA, 100)
		s.task(26, containerC, 100)
		s.run(24, 100, 90, "child in B")
		s.commands(containerB, "init of B [first]", "child in B")
	})
}

func TestTheProcessTree(t *testing.T) {
	t.Run("three deep", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10, 100, 50, "sh")
		s.run(11, 110, 100, "make")
		s.run(12, 120, 110, "cc")
		s.run(13, 130, 120, "ld")
		s.run(14, 140, 99, "stranger")
		s.commands(containerA, "sh [first]", "make", "cc", "ld")
	})
	t.Run("in one tick of a coarse clock", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		for i, args := range [][]string{{"sh"}, {"make"}, {"cc"}, {"ld"}} {
			s.run(10.1, 100+i, 99+i, args...)
			s.last().Time.Res = 10 * event.Millisecond
		}
		if got := len(s.subject(containerA).Of(evidence.Command)); got != 4 {
			t.Errorf("%d commands, want 4", got)
		}
	})
	t.Run("the parent ran nothing itself", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(20, 110, 100, "child of the task's process")
		s.commands(containerA, "child of the task's process [first]")
	})
	t.Run("the parent's process id is used again", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10, 100, 50, "sh")
		s.run(11, 110, 100, "worker")
		s.run(12, 111, 110, "of the worker")
		s.run(500, 110, 1, "cron")
		s.run(501, 111, 110, "of cron")
		s.commands(containerA, "sh [first]", "worker", "of the worker")
	})
	t.Run("a process of an ended container is nobody's parent", func(t *testing.T) {
		// Years of process ids go round: what forks on the host without
		// running a program must not inherit the id's former owner.
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10, 100, 50, "sh")
		s.run(11, 110, 100, "worker")
		s.taskExit(100, containerA, 100)
		s.run(101, 111, 110, "stamped late")
		s.run(4000, 111, 110, "of the host")
		s.commands(containerA, "sh [first]", "worker", "stamped late")
	})
	t.Run("but in a container that was restarted it lives its own life", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(11, 110, 100, "worker")
		s.taskExit(100, containerA, 100)
		s.task(4000, containerA, 100)
		s.run(4001, 112, 100, "second worker")
		s.taskExit(5000, containerA, 100)
		s.run(4500, 111, 110, "of the host")
		s.commands(containerA, "worker [first]", "second worker")
	})
	t.Run("a process that is its own parent's parent", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(20, 110, 111, "one")
		s.run(20, 111, 110, "other")
		s.run(20, 112, 112, "itself")
		s.commands(containerA)
	})
	t.Run("without a time", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(-1, 100, 50, "when")
		s.run(11, 110, 100, "child")
		s.commands(containerA, "child [first]")
	})
}

func TestTheSourceTellsTheContainer(t *testing.T) {
	s := newStory(t)
	s.task(10, containerA, 100)
	s.run(11, 100, 50, "of the task")
	s.run(12, 100, 50, "told otherwise").Container = containerB
	s.run(13, 110, 100, "child").Container = containerB
	s.run(14, 111, 110, "grandchild")
	s.run(15, 300, 1, "told short").Container = containerC[:12]
	s.run(16, 301, 300, "child of it")
	s.create(1, containerC, "alpine")
	s.add(17, event.JSON, &event.FileWrite{Path: "/x", Container: containerA})
	s.commands(containerA, "of the task [first]")
	s.expect(containerA, []evidence.Kind{evidence.Write}, "writes /x")
	s.commands(containerB, "told otherwise [first]", "child", "grandchild")
	s.commands(containerC, "told short [first]", "child of it")
	s.unknown(containerC[:12])
}

func TestOverlayDevices(t *testing.T) {
	const dev = "00:27"
	t.Run("a child of a fork without a program", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.runOn(dev, 10, 100, 50, "sh")
		s.runOn(dev, 20, 300, 299, "wget", "http://203.0.113.1/")
		s.runOn(dev, 21, 301, 300, "its child")
		s.run(21.5, 302, 300, "its child from a volume")
		s.runOn("00:28", 22, 303, 299, "elsewhere")
		s.commands(containerA, "sh [first]", "wget http://203.0.113.1/", "its child", "its child from a volume")
	})
	t.Run("known through the shim alone", func(t *testing.T) {
		s := newStory(t)
		s.shim(9, 50, containerA)
		s.runOn(dev, 10, 100, 50, "sh")
		s.runOn(dev, 20, 300, 299, "wget")
		s.commands(containerA, "sh [first]", "wget")
	})
	t.Run("the number is given to the next container", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.runOn(dev, 10, 100, 50, "sh")
		s.runOn(dev, 15, 300, 299, "of A")
		s.taskExit(20, containerA, 100)
		s.task(21.2, containerB, 101)
		s.runOn(dev, 21.2, 101, 51, "sh")
		s.runOn(dev, 21.9, 300, 299, "of B")
		s.runOn(dev, 60, 300, 299, "of B, later")
		s.taskExit(70, containerB, 101)
		s.runOn(dev, 200, 300, 299, "of nobody known")
		s.commands(containerA, "sh [first]", "of A")
		s.commands(containerB, "sh [first]", "of B", "of B, later")
	})
	t.Run("two live containers on one device", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.runOn(dev, 10, 100, 50, "sh of A")
		s.task(11, containerB, 101)
		s.runOn(dev, 11, 101, 51, "sh of B")
		s.runOn(dev, 20, 300, 299, "whose")
		s.commands(containerA, "sh of A [first]")
		s.commands(containerB, "sh of B [first]")
		if c := s.told().Counts(); c.Ambiguous != 1 {
			t.Errorf("%d ambiguous, want 1", c.Ambiguous)
		}
	})
	t.Run("a block device is never a container's", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.runOn("fe:00", 10, 100, 50, "/sbin/docker-init")
		s.runOn("fe:00", 20, 300, 299, "of the host")
		s.commands(containerA, "/sbin/docker-init [first]")
	})
	t.Run("nor is a host's root without a block device", func(t *testing.T) {
		// On btrfs, or with an overlay as root, the host's own programs look
		// like a container's; --init runs one of them inside a container.
		s := newStory(t)
		s.runOn("00:1a", 1, 200, 1, "/usr/sbin/sshd")
		s.task(10, containerA, 100)
		s.runOn("00:1a", 10, 100, 50, "/sbin/docker-init")
		s.runOn("00:1a", 20, 300, 299, "of the host")
		s.commands(containerA, "/sbin/docker-init [first]")
	})
	t.Run("a shim knows better", func(t *testing.T) {
		// The end of A is not told, and its device number is B's now.
		s := newStory(t)
		s.task(10, containerA, 100)
		s.runOn(dev, 10, 100, 50, "sh of A")
		s.shim(3000, 60, containerB)
		s.runOn(dev, 3001, 200, 60, "sh of B")
		s.runOn(dev, 3002, 210, 209, "whose")
		s.commands(containerA, "sh of A [first]")
		s.commands(containerB, "sh of B [first]")
	})
}

// A record of one kind must not make two others tell each other where they
// belong for ever.
func TestAHelperOnTheMountThatItPlaces(t *testing.T) {
	s := newStory(t)
	s.runOn("00:27", 10, 10, 9, "sh")
	s.runOn("00:27", 11, 11, 10, "/usr/bin/runc", "exec", containerB)
	s.runOn("00:27", 12, 12, 11, "id")
	s.told()
}
