// The line to the server: what the page asks, and what it is told. It comes back by itself when it breaks.

let line = null, next = 1;

export const connected = () => line !== null && line.readyState === WebSocket.OPEN;

/** Ask the server for something; the number of the request, which "did" answers, or 0 if there is no line. */
export function ask(message) {
  if (!connected()) return 0;
  line.send(JSON.stringify({ ...message, id: next }));
  return next++;
}

/** Connect, and call `told` with every message and `lost` with whether the line is broken. */
export function connect(told, lost) {
  const address = new URL("socket", location.href);
  address.protocol = "ws:";
  line = new WebSocket(address);
  line.onopen = () => lost(false);
  line.onmessage = (event) => told(JSON.parse(event.data));
  line.onclose = () => {
    lost(true);
    setTimeout(() => connect(told, lost), 1000);
  };
}

/** The bytes in a base64 string of deflated bytes. */
export async function inflated(text) {
  const binary = atob(text), bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
