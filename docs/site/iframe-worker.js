// The search of the site runs in a worker, which browsers refuse to a page that is opened from a folder. There this
// takes a worker's place: a frame that runs the worker's script, and passes messages to it and back.
"use strict";

if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.frame = frame.contentWindow;
      window.addEventListener("message", event => {
        if (event.source !== this.frame) return;
        event.stopImmediatePropagation();
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      const inside = frame.contentDocument;
      inside.open();
      // what a worker has and a frame has not; scripts are loaded one after the other
      inside.write(`<!DOCTYPE html><html><body><script>
        postMessage = data => parent.postMessage(data, "*");
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done, failed) => {
          const script = document.createElement("script");
          script.src = url;
          script.onload = done;
          script.onerror = failed;
          document.body.appendChild(script);
        })), Promise.resolve());
      </` + `script><script src="${new URL(url, location)}"></` + `script></body></html>`);
      inside.close();
    }

    postMessage(data) {
      this.frame.document.readyState === "complete"
        ? this.frame.dispatchEvent(new MessageEvent("message", { data }))
        : this.frame.addEventListener("load", () => this.postMessage(data));
    }

    terminate() {}
  }

  window.IFrameWorker = window.Worker = IFrameWorker;
}
