'use strict';
const $ = id => document.getElementById(id);
const store = (area, key, value) => {
  try { return value === undefined ? area.getItem(key) : area.setItem(key, value); } catch { return null; }
};
// Words: each is [Chinese, English].
let words = {
  live: ['已连接', 'Live'], dialing: ['连接中…', 'Connecting…'], lost: ['连接中断，自动重试', 'Connection lost, retrying'],
  theme: ['切换深浅色', 'Switch light and dark'], lang: ['Switch to English', '切换到中文'],
  PLACED: ['正在下单', 'Placing'], STARTING: ['正在启动', 'Starting'], CHARGING: ['充电中', 'Charging'], STOPPING: ['正在停止', 'Stopping'], SETTLING: ['结算中', 'Settling'], HELD: ['账单核对中', 'Bill under review'],
  CLOSED: ['充电完成', 'Completed'], EXCEPTION_CLOSED: ['异常结束', 'Ended by a fault'], START_FAILED: ['启动失败，未扣费', 'Did not start, no charge'], CANCELED: ['已取消，未扣费', 'Canceled, no charge'],
  demo: ['演示数据 · 时间以 {} 倍速运行', 'Demo data · time runs {}×'],
};
let zh = (store(localStorage, 'lang') || navigator.language).startsWith('zh');
const say = (key, ...with_) => with_.reduce((text, w) => text.replace('{}', w), words[key] ? words[key][zh ? 0 : 1] : key);
const locale = () => zh ? 'zh-CN' : 'en-GB';
const number = (n, places) => n.toLocaleString(locale(), { minimumFractionDigits: places, maximumFractionDigits: places });
const yuan = fen => '¥' + number(fen / 100, 2);
const kwh = wh => number(wh / 1000, wh < 1e6 ? 2 : 0);
const kw = w => number(w / 1000, w < 1e6 ? 1 : 0);
const clock = (at, seconds) => new Date(at).toLocaleTimeString(locale(), { hour12: false, hour: '2-digit', minute: '2-digit', second: seconds && '2-digit' });
const lasted = s => [s / 3600, s / 60 % 60, s % 60].map(n => String(Math.floor(n)).padStart(2, '0')).join(':');
const put = (id, text) => { const e = $(id); if (e.textContent !== text) e.textContent = text; };
const make = (tag, text, name) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (name) e.className = name;
  return e;
};
const row = (...cells) => { const r = make('tr'); r.append(...cells.map(([text, name]) => make('td', text, name))); return r; };

// Language and theme: the system's, until the reader says otherwise.
const dark = matchMedia('(prefers-color-scheme: dark)');
const dress = () => { document.documentElement.dataset.theme = store(localStorage, 'theme') || (dark.matches ? 'dark' : 'light'); };
const speak = () => {
  document.documentElement.lang = zh ? 'zh-CN' : 'en';
  document.querySelectorAll('[data-t]').forEach(e => { e.textContent = say(e.dataset.t); });
  document.querySelectorAll('[data-l]').forEach(e => { e.setAttribute('aria-label', say(e.dataset.l)); });
  put('lang', zh ? 'EN' : '中');
  paint();
};
const begin = more => {
  Object.assign(words, more);
  dress();
  dark.onchange = dress;
  $('theme').onclick = () => { store(localStorage, 'theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'); dress(); };
  $('lang').onclick = () => { zh = !zh; store(localStorage, 'lang', zh ? 'zh' : 'en'); speak(); };
  speak();
};

// A socket that comes back: with back-off and jitter after any close but 44xx (too slow, 4408, may pass), never while
// the page is hidden.
// `address` promises path and query; `told` answers false when a message is missing, and `wanted` whether to go on.
const dial = ({ address, told, wanted, state }) => {
  let socket, redial, guard, beat = 15000, tries = 0;
  const hang = () => {
    clearTimeout(redial);
    clearTimeout(guard);
    if (socket) { socket.onclose = null; socket.close(); socket = null; }
  };
  const later = () => {
    hang();
    state('lost');
    redial = setTimeout(open, Math.random() * Math.min(15000, 500 * 2 ** tries++));
  };
  const open = async () => {
    hang();
    if (document.hidden || !wanted()) return;
    state('dialing');
    let path;
    try { path = await address(); } catch { return later(); }
    if (!path || socket || document.hidden) return;
    socket = new WebSocket(location.origin.replace('http', 'ws') + path);
    // A connection that died without a word is noticed by its missing pings.
    const alive = () => { clearTimeout(guard); guard = setTimeout(later, beat * 2.5); };
    alive();
    socket.onmessage = event => {
      const message = JSON.parse(event.data);
      beat = message.hb || beat;
      tries = 0;
      alive();
      if (message.t === 'ping') return socket.send(JSON.stringify({ t: 'pong', n: message.n }));
      state('live');
      if (told(message) === false) socket.send('{"t":"resync"}');
    };
    socket.onclose = event => {
      socket = null;
      if (event.code >= 4400 && event.code < 4500 && event.code !== 4408) { hang(); state('refused', event.code); } else if (wanted()) later(); else hang();
    };
  };
  document.addEventListener('visibilitychange', () => { tries = 0; if (document.hidden) hang(); else open(); });
  open();
  return open;
};
