package audit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// asking opens a way to ask the kernel and has it used. Each time it is a new
// one: after an answer that came too late, another question would be answered
// by it.
func asking(use func(*libaudit.AuditClient) error) error {
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return fmt.Errorf("asking the kernel about auditing: %w", err)
	}
	defer c.Close()
	if err := use(c); err != nil {
		return fmt.Errorf("asking the kernel about auditing: %w", err)
	}
	return nil
}

// forbidden reports whether the kernel answers nobody in our place: without
// CAP_AUDIT_CONTROL, and outside of the first name spaces of users and of
// process ids.
func forbidden(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ECONNREFUSED)
}

// Values of a status's Enabled.
const (
	statusOff    = 0
	statusLocked = 2
)

func statusOf() (status libaudit.AuditStatus, err error) {
	err = asking(func(c *libaudit.AuditClient) error {
		s, err := c.GetStatus()
		if err == nil {
			status = *s
		}
		return err
	})
	return status, err
}

// loadedRules lists the rules that the kernel has, of everybody.
func loadedRules() (all []loadedRule, err error) {
	err = asking(func(c *libaudit.AuditClient) error {
		wires, err := c.GetRules()
		for _, wire := range wires {
			if r, ok := readRule(wire); ok {
				all = append(all, r)
			}
		}
		return err
	})
	return all, err
}

// keeper adds our rules and removes them.
type keeper struct {
	key   string
	rules []ownRule
	added int // of them
}

// own reports whether a rule is ours.
func (k *keeper) own(r loadedRule) bool { return r.key == k.key || r.key == socketKey(k.key) }

// loaded counts our rules.
func (k *keeper) loaded(all []loadedRule) (n int) {
	for _, r := range all {
		if k.own(r) {
			n++
		}
	}
	return n
}

// remove removes our rules, those of an earlier run included. No others are
// touched.
func (k *keeper) remove() error {
	all, err := loadedRules()
	if err != nil || k.loaded(all) == 0 {
		return err
	}
	err = asking(func(c *libaudit.AuditClient) error {
		for _, r := range all {
			if !k.own(r) {
				continue
			}
			if err := c.DeleteRule(r.wire); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The kernel's refusal is not told by the library.
	if all, err = loadedRules(); err == nil && k.loaded(all) > 0 {
		err = fmt.Errorf("%d audit rules of ours cannot be removed", k.loaded(all))
	}
	return err
}

// add adds our rules. It goes on behind one that the kernel does not take, and
// says which these are.
func (k *keeper) add() (lacks []*sensor.Lack, err error) {
	k.added = 0
	err = asking(func(c *libaudit.AuditClient) error {
		for _, r := range k.rules {
			err := c.AddRule(r.wire)
			if err == nil {
				k.added++
				continue
			}
			lack := refusal(r, err)
			if n := len(lacks); n == 0 || lacks[n-1].What != lack.What { // one socket, two rules
				lacks = append(lacks, lack)
			}
		}
		return nil
	})
	return lacks, err
}

// refusal is what is missing without a rule.
func refusal(r ownRule, err error) *sensor.Lack {
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	if r.socket != "" && errors.Is(err, unix.ENOENT) {
		return &sensor.Lack{What: "who connects to " + r.socket + " is not told: its folder is not there", Mend: "start the runtime before, or leave the socket out", Err: err}
	}
	return &sensor.Lack{What: "the kernel does not take the audit rule " + r.text, Mend: "a kernel that knows all fields of the rule, and paths whose folder exists", Err: err}
}

// settle removes what an earlier run left and adds our rules, and says what is
// missing then. An error is a *sensor.Lack if the kernel would tell nothing.
func (k *keeper) settle(status libaudit.AuditStatus) (lacks []*sensor.Lack, err error) {
	if status.Enabled == statusOff {
		return nil, &sensor.Lack{What: "auditing is switched off in the kernel", Mend: "auditctl -e 1, or audit=1 on the kernel's command line"}
	}
	if status.Enabled == statusLocked {
		lacks, err = k.locked()
	} else if err = k.remove(); err == nil && len(k.rules) > 0 {
		lacks, err = k.add()
	}
	if err != nil {
		return lacks, err
	}
	all, err := loadedRules()
	if err != nil {
		return lacks, err
	}
	return lacks, k.enough(all)
}

// locked says what is missing where nobody may change the rules.
func (k *keeper) locked() (lacks []*sensor.Lack, err error) {
	all, err := loadedRules()
	if err != nil || k.loaded(all) >= len(k.rules) {
		return nil, err
	}
	var texts []string
	for _, r := range k.rules {
		texts = append(texts, r.text)
	}
	return []*sensor.Lack{{
		What: "the audit rules are locked until the next boot: ours cannot be added",
		Mend: "write into a file of /etc/audit/rules.d, before -e 2: " + strings.Join(texts, "; "),
	}}, nil
}

// enough finds out whether the rules let the kernel tell anything that is read.
func (k *keeper) enough(all []loadedRule) error {
	asks := false
	for _, r := range all {
		if r.silences() {
			return &sensor.Lack{What: "a rule has the kernel audit no process (-a never,task)", Mend: "remove it from /etc/audit/rules.d, load the rules again (augenrules --load), and restart what shall be seen"}
		}
		asks = asks || r.asks()
	}
	if asks {
		return nil
	}
	return &sensor.Lack{
		What: "no audit rule asks for any system call, so the kernel tells of no program and no connection",
		Mend: "have the sensor add rules, or load one: auditctl -a always,exit -F arch=b64 -S execve,execveat -k exec",
	}
}
