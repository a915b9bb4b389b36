package drill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// target is whom the drill's program calls: a documentation address (RFC 5737)
// that nobody has.
var target = netip.AddrFrom4([4]byte{203, 0, 113, 66})

// device is the interface that what is sent to target ends in. There is one at
// a time, so that it is a lock, too.
const device = "twdrill0"

// nowhere is an interface that leads nowhere, with a route to target through
// it. It is a TUN interface: the kernel removes it, and the route with it, when
// this process ends, however it ends.
type nowhere struct {
	tun       *os.File
	route     *netlink.Conn
	index     uint32
	swallowed atomic.Int64
	ports     sync.Map // uint16: the ports of TCP that were called
	done      chan struct{}
}

// openNowhere makes the interface in a network namespace, and sends everything
// for target there. It fails if somebody routes target already.
func openNowhere(netns *os.File) (*nowhere, error) {
	route, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: int(netns.Fd())})
	if err != nil {
		return nil, fmt.Errorf("%w: the engine's network cannot be entered: %w", ErrCannot, err)
	}
	n := &nowhere{route: route, done: make(chan struct{})}
	if way, err := n.ask(question{match: true}); err == nil && way.bits == target.BitLen() {
		return nil, errors.Join(fmt.Errorf("%w: this host routes %s already; another drill may be running", ErrCannot, target), route.Close())
	}
	if n.tun, n.index, err = makeDevice(netns); err != nil {
		return nil, errors.Join(err, route.Close())
	}
	go n.swallow()
	if err := n.add(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: no route to %s can be made: %w", ErrCannot, target, err), n.Close())
	}
	if err := n.Catches("", netip.Addr{}); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close removes interface and route.
func (n *nowhere) Close() error {
	err := errors.Join(n.tun.Close(), n.route.Close())
	<-n.done
	return err
}

// Swallowed is how many packets ended here.
func (n *nowhere) Swallowed() int64 { return n.swallowed.Load() }

// Called reports whether a port of target was called by TCP.
func (n *nowhere) Called(port uint16) bool {
	_, called := n.ports.Load(port)
	return called
}

// swallow takes what was sent to target, and drops it.
func (n *nowhere) swallow() {
	defer close(n.done)
	packet := make([]byte, 65536)
	for {
		size, err := n.tun.Read(packet)
		if err != nil {
			return
		}
		p := packet[:size]
		if len(p) < 20 || p[0]>>4 != 4 || [4]byte(p[16:20]) != target.As4() {
			continue // what the kernel says to every interface
		}
		n.swallowed.Add(1)
		if head := int(p[0]&15) * 4; p[9] == unix.IPPROTO_TCP && len(p) >= head+4 {
			n.ports.Store(binary.BigEndian.Uint16(p[head+2:]), true)
		}
	}
}

// makeDevice makes the interface and brings it up, on a thread that enters the
// namespace and ends there.
func makeDevice(netns *os.File) (tun *os.File, index uint32, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		if err = unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("%w: the engine's network cannot be entered: %w", ErrCannot, err)
			return
		}
		if tun, index, err = makeDeviceHere(); err != nil {
			err = fmt.Errorf("%w: no interface %s can be made: %w", ErrCannot, device, err)
		}
	}()
	<-done
	return tun, index, err
}

func makeDeviceHere() (*os.File, uint32, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			err = errors.New("it is there; another drill is running")
		}
		return nil, 0, errors.Join(err, unix.Close(fd))
	}
	index, err := bringUp()
	if err != nil {
		return nil, 0, errors.Join(err, unix.Close(fd))
	}
	// Only now: the poller takes a TUN descriptor once it has an interface.
	return os.NewFile(uintptr(fd), device), index, nil
}

// bringUp sets the interface up and gives its index.
func bringUp() (uint32, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, request); err != nil {
		return 0, err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return request.Uint32(), nil
}

// add adds the route to target alone.
func (n *nowhere) add() error {
	ae := netlink.NewAttributeEncoder()
	ip := target.As4()
	ae.Bytes(unix.RTA_DST, ip[:])
	ae.Uint32(unix.RTA_OIF, n.index)
	attributes, err := ae.Encode()
	if err != nil {
		return err
	}
	header := routeHeader{bits: uint8(target.BitLen()), table: unix.RT_TABLE_MAIN, protocol: unix.RTPROT_STATIC, scope: unix.RT_SCOPE_LINK, kind: unix.RTN_UNICAST}
	_, err = n.route.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWROUTE, Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data:   append(header.bytes(), attributes...),
	})
	return err
}

// errElsewhere says that packets would not end in the drill's interface.
var errElsewhere = errors.New("packets to the drill's address would go elsewhere")

// Catches proves that what comes through an interface from an address, or from
// this host if there is none, and goes to target would end here.
func (n *nowhere) Catches(through string, from netip.Addr) error {
	q := question{from: from}
	if through != "" {
		index, err := n.find(through)
		if err != nil {
			return fmt.Errorf("%w: the engine's network %s is not where its socket is from: %w", ErrCannot, through, err)
		}
		q.through = index
	}
	way, err := n.ask(q)
	if err != nil {
		return fmt.Errorf("%w: %w: %w", ErrCannot, errElsewhere, err)
	}
	if way.out != n.index {
		return fmt.Errorf("%w: %w (interface %d): a rule of this host's routing comes first", ErrCannot, errElsewhere, way.out)
	}
	return nil
}

// find gives the index of an interface by its name.
func (n *nowhere) find(name string) (uint32, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, name)
	attributes, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	answers, err := n.route.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), attributes...),
	})
	if err != nil {
		return 0, err
	}
	if len(answers) == 0 || len(answers[0].Data) < unix.SizeofIfInfomsg {
		return 0, errors.New("no such interface")
	}
	return binary.NativeEndian.Uint32(answers[0].Data[4:]), nil // ifi_index
}

// question asks which way a packet to target goes.
type question struct {
	match   bool // the entry of the table instead of the way itself
	through uint32
	from    netip.Addr
}

// way is the answer: the interface, and how many bits of the address the
// route's entry is for.
type way struct {
	out  uint32
	bits int
}

// fibMatch is RTM_F_FIB_MATCH of linux/rtnetlink.h.
const fibMatch = 0x2000

func (n *nowhere) ask(q question) (way, error) {
	ae := netlink.NewAttributeEncoder()
	ip := target.As4()
	ae.Bytes(unix.RTA_DST, ip[:])
	header := routeHeader{bits: uint8(target.BitLen())}
	if q.match {
		header.flags = fibMatch
	}
	if q.from.Is4() {
		from := q.from.As4()
		ae.Bytes(unix.RTA_SRC, from[:])
		header.fromBits = uint8(q.from.BitLen())
	}
	if q.through != 0 {
		ae.Uint32(unix.RTA_IIF, q.through)
	}
	attributes, err := ae.Encode()
	if err != nil {
		return way{}, err
	}
	answers, err := n.route.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request},
		Data:   append(header.bytes(), attributes...),
	})
	if err != nil {
		return way{}, err
	}
	if len(answers) == 0 || len(answers[0].Data) < unix.SizeofRtMsg {
		return way{}, errors.New("the kernel did not say which way")
	}
	data := answers[0].Data
	w := way{bits: int(data[1])}
	ad, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return w, err
	}
	for ad.Next() {
		if ad.Type() == unix.RTA_OIF {
			w.out = ad.Uint32()
		}
	}
	return w, ad.Err()
}

// routeHeader is struct rtmsg of linux/rtnetlink.h.
type routeHeader struct {
	bits, fromBits, table, protocol, scope, kind uint8
	flags                                        uint32
}

func (h routeHeader) bytes() []byte {
	b := []byte{unix.AF_INET, h.bits, h.fromBits, 0, h.table, h.protocol, h.scope, h.kind}
	return binary.NativeEndian.AppendUint32(b, h.flags)
}
