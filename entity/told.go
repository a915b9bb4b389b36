package entity

import "tidewaiter/event"

// podObject is the pod that a sensor tells.
func podObject(told *event.PodRef) event.ObjectRef {
	r := told.Value()
	return event.ObjectRef{Namespace: r.Namespace, Name: r.Pod, UID: r.UID}
}

// addTold files what the source itself tells of whose an act is. A container
// that is told with its pod is a claim, too.
func (s *site) addTold(a *act) {
	if a.told != "" {
		s.vouch(s.container(a.told), +1)
		s.cluster.podClaim(a.told, podObject(a.toldPod), +1)
	} else if a.byPodName() {
		s.cluster.podNames(podName{a.toldPod.Namespace, a.toldPod.Pod}).acts.add(a)
	} else if a.toldPod.HasPod() {
		s.cluster.pod(podObject(a.toldPod)).pod.told++
	}
}

func (s *site) removeTold(a *act) {
	if a.told != "" {
		s.cluster.podClaim(a.told, podObject(a.toldPod), -1)
		s.vouch(s.container(a.told), -1)
	} else if a.byPodName() {
		name := podName{a.toldPod.Namespace, a.toldPod.Pod}
		s.cluster.podNames(name).acts.remove(a)
		s.cluster.releaseNames(name)
	} else if a.toldPod.HasPod() {
		c := s.cluster.pod(podObject(a.toldPod))
		c.pod.told--
		s.cluster.emptied[c] = true
	}
}

// byPodName reports that only a pod's name is told.
func (a *act) byPodName() bool { return a.told == "" && a.toldPod.HasPod() && a.toldPod.UID == "" }
