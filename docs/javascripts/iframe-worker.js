// A page that was opened from the disk may start no worker: there the search, which would be one,
// runs in a frame that nobody sees.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #ready

    constructor(url) {
      super()
      const frame = document.body.appendChild(document.createElement("iframe"))
      frame.hidden = true
      const inside = frame.contentWindow
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = frame.contentDocument.createElement("script")
      script.src = new URL(url, location)
      this.#ready = new Promise(loaded => (script.onload = () => loaded(inside)))
      frame.contentDocument.head.append(script)
    }

    async postMessage(data) {
      const inside = await this.#ready
      inside.dispatchEvent(new inside.MessageEvent("message", { data }))
    }
  }
}
