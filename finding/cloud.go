package finding

import (
	"cmp"
	"fmt"
	"strings"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// cloudOwner names what a finding about a machine, or about an image of machines,
// is about: what launched the machine for good, else who launched it, so that
// machines launched together are one finding. A machine that was changed
// afterwards stands for itself. Nil for other subjects.
func cloudOwner(a *analytic.Assessment) []string {
	if i := a.VMImage; i != nil {
		return []string{"vm-image", string(i.ID)}
	}
	i := a.Instance
	switch {
	case i == nil:
		return nil
	case i.Changed:
		return []string{"instance", i.ID}
	case i.Group != "":
		return []string{"group", i.Account, i.Region, i.Group}
	case !i.Launched:
		return []string{"instance", i.ID}
	case i.By.Name != "":
		return []string{"launched by", i.Account, principal(i.By)}
	}
	return []string{"instance", i.ID}
}

// cloudOwnerWords says the same to people; "" for other subjects.
func cloudOwnerWords(a *analytic.Assessment) string {
	own := cloudOwner(a)
	if own == nil {
		return ""
	}
	switch own[0] {
	case "group":
		return "group " + own[3] + " of " + strings.TrimSuffix(own[1]+"/"+own[2], "/")
	case "launched by":
		return strings.TrimSuffix("machines launched by "+own[2]+" in "+own[1], " in ")
	}
	return strings.Join(own, " ")
}

// principal is by which somebody is known: of a role's session, the role.
func principal(by event.Principal) string {
	if by.Cloud != nil && by.Cloud.Issuer != "" {
		return by.Cloud.Issuer
	}
	return by.Name
}

// cloudTitle says what a machine, or an image of machines, is, and where.
func cloudTitle(a *analytic.Assessment) (what, where string) {
	if i := a.VMImage; i != nil {
		return vmImageName(*i), "the images of " + cmp.Or(i.Owner, "an unknown owner")
	}
	i := a.Instance
	where = cmp.Or(i.Name, i.ID)
	if n := len(i.With); n > 0 {
		where += fmt.Sprintf(" and %d launched with it", n)
	}
	if i.Account != "" {
		where += " of " + strings.TrimSuffix(i.Account+"/"+i.Region, "/")
	}
	return cmp.Or(vmImageName(i.Image), "unknown image"), where
}

func vmImageName(i evidence.VMImage) string {
	s := string(i.ID)
	if i.Name != "" {
		s += fmt.Sprintf(" (%q)", i.Name)
	}
	return s
}

// CloudWords says, line by line, what a machine or an image of machines is; nil
// for a subject that is neither. The words may hold text from the logs.
func (s Subject) CloudWords() []string {
	if s.VMImage != nil {
		return []string{"image " + string(s.VMImage.ID) + ownedBy(*s.VMImage)}
	}
	i := s.Instance
	if i == nil {
		return nil
	}
	line := "instance " + i.ID
	if i.Name != "" {
		line += " " + i.Name
	}
	if i.Type != "" {
		line += ", " + i.Type
	}
	if where := strings.Trim(i.Account+"/"+i.Region, "/"); where != "" {
		line += ", in " + where
	}
	if by := principal(i.By); by != "" {
		line += ", launched by " + by
	}
	if i.Group != "" {
		line += " for " + i.Group
	}
	out := []string{line}
	if i.Image.ID != "" {
		out = append(out, "image "+string(i.Image.ID)+ownedBy(i.Image))
	}
	return out
}

// MachineWords says in lines what the machines of a finding are: those that
// differ by their ids alone in one line. Nil for a finding about others.
func (f *Finding) MachineWords() []string {
	var lines []string
	at := map[string]int{}
	add := func(kind, id, rest string) {
		key := kind + "\x00" + rest
		if _, known := at[key]; !known {
			at[key] = len(lines)
			lines = append(lines, "")
		}
		if line := &lines[at[key]]; *line == "" {
			*line = kind + " " + id + rest
		} else if kind == "instance" {
			*line = strings.Replace(strings.TrimSuffix(*line, rest), "instance ", "instances ", 1) + ", " + id + rest
		}
	}
	for _, s := range f.Subjects {
		for _, words := range s.CloudWords() {
			kind, rest, _ := strings.Cut(words, " ")
			id, rest, _ := strings.Cut(rest, ",")
			add(kind, id, ","+rest)
		}
	}
	return lines
}

func ownedBy(i evidence.VMImage) string {
	switch owner := cmp.Or(i.Alias, i.Owner); {
	case owner == "":
		return ", of an owner that no record tells"
	case i.Public:
		return ", of " + owner + ", public"
	default:
		return ", of " + owner
	}
}

// cloudNotes says what limits a finding about a machine.
func cloudNotes(a *analytic.Assessment) (notes []string) {
	i := a.Instance
	if i == nil {
		return nil
	}
	if i.Unclear > 0 {
		notes = append(notes, fmt.Sprintf("connections from an address that several machines had then are attributed to nobody: %d", i.Unclear))
	}
	if !i.Launched && i.Image.ID == "" {
		notes = append(notes, "no record tells of the machine's launch: its image and who asked for it are not known")
	}
	return notes
}

// cloudEntity fills in what is known of a machine or of an image of machines.
func cloudEntity(s Subject, e *Entity) {
	img := s.VMImage
	if i := s.Instance; i != nil {
		img = &i.Image
		e.InstanceID, e.InstanceName, e.Resource, e.InstanceType = i.ID, i.Name, i.Resource, i.Type
		e.Account, e.Region, e.Zone, e.Group = i.Account, i.Region, i.Zone, i.Group
		e.Principal = principal(i.By)
		if len(i.Hosts) > 0 {
			e.Host = i.Hosts[0]
		}
	}
	if img != nil {
		e.ImageID, e.ImageName, e.ImageOwner, e.ImageOwnerAlias, e.ImagePublic = string(img.ID), img.Name, img.Owner, img.Alias, img.Public
	}
}

// launchedWith are the machines that requests launched together with those that
// the finding is about.
func (f *Finding) launchedWith() []Entity {
	told := map[string]bool{}
	for _, s := range f.Subjects {
		told[s.ID.ID] = true
	}
	var out []Entity
	for _, s := range f.Subjects {
		if s.Instance == nil {
			continue
		}
		for _, id := range s.Instance.With {
			if !told[id] {
				told[id] = true
				out = append(out, Entity{Kind: "launched-with", InstanceID: id, Account: s.Instance.Account, Region: s.Instance.Region, ImageID: string(s.Instance.Image.ID), Principal: principal(s.Instance.By)})
			}
		}
	}
	return out
}

// cloud restores what cloudEntity wrote.
func (e Entity) cloud(s *Subject) {
	img := evidence.VMImage{ID: image.VM(e.ImageID), Name: e.ImageName, Owner: e.ImageOwner, Alias: e.ImageOwnerAlias, Public: e.ImagePublic}
	switch e.Kind {
	case "instance":
		s.ID.ID = e.InstanceID
		s.Instance = &evidence.Instance{ID: e.InstanceID, Name: e.InstanceName, Resource: e.Resource, Type: e.InstanceType, Account: e.Account, Region: e.Region, Zone: e.Zone, Group: e.Group,
			By: event.Principal{Name: e.Principal}, Launched: e.Principal != "", Image: img}
		if e.Host != "" {
			s.Instance.Hosts = []string{e.Host}
		}
	case "vm-image":
		s.ID.ID = e.ImageID
		s.VMImage = &img
	}
}

// cloudResources names a machine and its image for OCSF.
func cloudResources(s Subject) []ocsfResource {
	var out []ocsfResource
	img := s.VMImage
	if i := s.Instance; i != nil {
		img = &i.Image
		out = append(out, ocsfResource{Type: "instance", UID: i.ID, Name: i.Name})
	}
	if img != nil && img.ID != "" {
		out = append(out, ocsfResource{Type: "vm-image", UID: string(img.ID), Name: img.Name})
	}
	return out
}
