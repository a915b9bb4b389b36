package traffic

import (
	"bufio"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// LaunchOptions say what to write of a cloud. The zero value of a field means its
// default.
type LaunchOptions struct {
	// Launches is the number of machines that an auto scaling group launches from
	// the golden image; default 5,000. Nine of ten are ended within a day.
	Launches int
	// Strays is how many more somebody launches from images of strangers.
	Strays int
	// Span is the time that they fill; default 24 hours.
	Span time.Duration
	// Seed makes one recording another.
	Seed uint64
}

// CloudPolicy is the policy under which exactly the strays are found.
const CloudPolicy = `version: 1
learning: 1h
addresses: {public: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24]}
settings:
  vm_images: ["owner:111122223333"]
  approved_destinations: [10.0.0.0/8, 192.0.2.0/24]
`

// cloudAccount is whose records are written.
const cloudAccount = "444455556666"

// cloud is a recording of a cloud being written.
type cloud struct {
	rng   *rand.Rand
	dir   string
	truth *Truth
	trail map[int][]string // records by hour
	flows map[int][]string
}

// WriteLaunches writes what a cloud's trail and flow logs tell of a company whose
// machines come and go, into a folder that it makes: an hour in a file. Guilty
// in the truth are instance ids.
func WriteLaunches(dir string, o LaunchOptions) (Truth, error) {
	o.Launches, o.Span = cmp.Or(o.Launches, 5_000), cmp.Or(o.Span, 24*time.Hour)
	truth := Truth{Guilty: map[string]bool{}}
	c := &cloud{rng: rand.New(rand.NewPCG(o.Seed, 5)), dir: dir, truth: &truth}
	for _, sub := range []string{"cloudtrail", "flows"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return truth, fmt.Errorf("write launches: %w", err)
		}
	}
	inventory := fmt.Sprintf("inputs:\n  - {path: images.json, account: %q}\n", cloudAccount)
	images := `{"Images":[{"ImageId":"ami-0000000000000001a","OwnerId":"111122223333","Name":"golden","State":"available","Public":false},` +
		`{"ImageId":"ami-0bad000000000001a","OwnerId":"999988887777","Name":"golden","State":"available","Public":true}]}`
	for name, text := range map[string]string{"inputs.yaml": inventory, "images.json": images} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return truth, fmt.Errorf("write launches: %w", err)
		}
	}
	return truth, c.fill(o)
}

// fill writes hour by hour, so that a month of a large company needs no more
// memory than a day.
func (c *cloud) fill(o LaunchOptions) error {
	c.trail, c.flows = map[int][]string{}, map[int][]string{}
	every := int64(o.Span) / int64(o.Launches)
	strayEvery := 0
	if o.Strays > 0 {
		strayEvery = max(o.Launches/(o.Strays+1), 1)
	}
	strays, hour := 0, 0
	for n := range o.Launches {
		at := start + int64(n)*every
		for ; hour < hourOf(at); hour++ {
			if err := c.flush(hour); err != nil {
				return err
			}
		}
		c.machine(n, at, false)
		if strayEvery > 0 && n%strayEvery == strayEvery-1 && strays < o.Strays {
			c.machine(o.Launches+strays, at+every/2, true)
			strays++
		}
	}
	for ; len(c.trail)+len(c.flows) > 0; hour++ {
		if err := c.flush(hour); err != nil {
			return err
		}
	}
	return nil
}

func hourOf(at int64) int { return int((at - start) / int64(time.Hour)) }

// machine writes one machine's life.
func (c *cloud) machine(n int, at int64, stray bool) {
	id := fmt.Sprintf("i-%017x", 0xa0000000000+n)
	eni := fmt.Sprintf("eni-%017x", 0xb0000000000+n)
	addr := fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)
	image, by := "ami-0000000000000001a", scalingIdentity
	to := []string{"192.0.2.10 443", "10.0.0.53 53", "192.0.2.20 443"}
	if stray {
		c.truth.Guilty[id] = true
		image, by = "ami-0bad000000000001a", fmt.Sprintf(personIdentity, cloudAccount, cloudAccount, n)
		to = []string{"198.51.100.7 443", "203.0.113.66 3333"}
	}
	c.record(at, "RunInstances", by, fmt.Sprintf(`"requestParameters":{"instancesSet":{"items":[{"imageId":"%s","minCount":1,"maxCount":1}]},"instanceType":"m5.large"},`+
		`"responseElements":{"reservationId":"r-%017x","ownerId":"%s","instancesSet":{"items":[{"instanceId":"%s","imageId":"%s","instanceType":"m5.large","launchTime":%d,`+
		`"placement":{"availabilityZone":"eu-west-1a"},"subnetId":"subnet-1","vpcId":"vpc-1","privateIpAddress":"%s","tagSet":{"items":[{"key":"aws:autoscaling:groupName","value":"web"}]},`+
		`"networkInterfaceSet":{"items":[{"networkInterfaceId":"%s","subnetId":"subnet-1","vpcId":"vpc-1","privateIpAddress":"%s"}]}}]}}`,
		image, n, cloudAccount, id, image, at/1e6, addr, eni, addr))
	for i, dst := range to {
		began := at/1e9 + int64(60+30*i)
		var host, port string
		fmt.Sscan(dst, &host, &port)
		c.flow(began, fmt.Sprintf("2 %s %s %s %s %d %s 6 20 4000 %d %d ACCEPT OK", cloudAccount, eni, addr, host, 40000+n%20000, port, began, began+30))
	}
	if !stray && c.rng.IntN(10) > 0 {
		ends := at + int64(2*time.Hour) + c.rng.Int64N(int64(22*time.Hour))
		c.record(ends, "TerminateInstances", scalingIdentity, fmt.Sprintf(`"requestParameters":{"instancesSet":{"items":[{"instanceId":"%s"}]}},`+
			`"responseElements":{"instancesSet":{"items":[{"instanceId":"%s","currentState":{"code":32,"name":"shutting-down"}}]}}`, id, id))
	}
}

const (
	scalingIdentity = `"userIdentity":{"type":"AssumedRole","principalId":"AROA1:AutoScaling","arn":"arn:aws:sts::` + cloudAccount + `:assumed-role/AWSServiceRoleForAutoScaling/AutoScaling","accountId":"` + cloudAccount +
		`","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::` + cloudAccount + `:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"}},"invokedBy":"autoscaling.amazonaws.com"},` +
		`"sourceIPAddress":"autoscaling.amazonaws.com","userAgent":"autoscaling.amazonaws.com"`
	personIdentity = `"userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::%s:user/carol","accountId":"%s","userName":"carol-%d"},"sourceIPAddress":"198.51.100.9","userAgent":"aws-cli/2"`
)

// record adds a record of the trail.
func (c *cloud) record(at int64, name, by, rest string) {
	c.truth.Events++
	c.trail[hourOf(at)] = append(c.trail[hourOf(at)], fmt.Sprintf(`{"eventVersion":"1.09",%s,"eventTime":"%s","eventSource":"ec2.amazonaws.com","eventName":"%s","awsRegion":"eu-west-1","requestID":"q-%d",`+
		`"eventID":"e-%d","readOnly":false,"eventType":"AwsApiCall","recipientAccountId":"%s",%s}`,
		by, time.Unix(0, at).UTC().Format(time.RFC3339), name, c.truth.Events, c.truth.Events, cloudAccount, rest))
}

// flow adds a record of the network's flow log.
func (c *cloud) flow(began int64, line string) {
	c.truth.Events++
	h := hourOf(began * 1e9)
	c.flows[h] = append(c.flows[h], line)
}

// flush writes an hour's files and lets go of them.
func (c *cloud) flush(hour int) error {
	if records := c.trail[hour]; len(records) > 0 {
		name := fmt.Sprintf("cloudtrail/%s_CloudTrail_eu-west-1_%04d.json", cloudAccount, hour)
		if err := c.write(name, `{"Records":[`, records, ",", "]}\n"); err != nil {
			return err
		}
	}
	if lines := c.flows[hour]; len(lines) > 0 {
		head := "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
		if err := c.write(fmt.Sprintf("flows/%04d.log", hour), head, lines, "\n", "\n"); err != nil {
			return err
		}
	}
	delete(c.trail, hour)
	delete(c.flows, hour)
	return nil
}

func (c *cloud) write(name, head string, parts []string, between, tail string) error {
	f, err := os.Create(filepath.Join(c.dir, name))
	if err != nil {
		return fmt.Errorf("write launches: %w", err)
	}
	defer f.Close() // also closed below, where it matters
	w := bufio.NewWriter(f)
	w.WriteString(head)
	for i, p := range parts {
		if i > 0 {
			w.WriteString(between)
		}
		w.WriteString(p)
		c.truth.Bytes += int64(len(p) + len(between))
	}
	w.WriteString(tail)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write launches: %w", err)
	}
	return f.Close()
}
